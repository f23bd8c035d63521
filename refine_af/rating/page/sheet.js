"use strict";
(function () {
  var form = document.getElementById("ratings");
  var save = document.getElementById("save");
  var left = document.getElementById("left");
  if (!form || !save) { return; }
  save.hidden = false;
  function rated() { return form.querySelectorAll("input[type=radio]:checked"); }
  function tell() { left.textContent = rated().length + " of " + form.dataset.items + " rated"; }
  form.addEventListener("change", tell);
  tell();
  save.addEventListener("click", function () {
    var rows = ["item,rating"];
    rated().forEach(function (one) { rows.push(one.name + "," + one.value); });
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([rows.join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.download = "ratings.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });
})();

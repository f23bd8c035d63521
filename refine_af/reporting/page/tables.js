// Sorting and filtering of tables. Without it, every table is there, in its first order.
for (const table of document.querySelectorAll("table[data-sort]")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, place) => row.cells[place].dataset.value ?? row.cells[place].textContent.trim();
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const sign = down ? 1 : -1;
      const rows = [...body.rows].map((row) => [value(row, place), row]);
      const numeric = rows.every(([one]) => one === "" || !Number.isNaN(Number(one)));
      rows.sort(([a], [b]) => sign * (numeric ? Number(a) - Number(b) : a.localeCompare(b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
  const box = document.createElement("input");
  box.type = "search";
  box.className = "filter";
  box.placeholder = table.dataset.sort;
  box.setAttribute("aria-label", table.dataset.sort);
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  table.before(box);
}

// Answers side by side: by task, and only where the arms disagree.
for (const bar of document.querySelectorAll("[data-answers]")) {
  const tasks = [...bar.parentElement.querySelectorAll("details.task")];
  const box = bar.querySelector("input.filter");
  const only = bar.querySelector("input.only");
  const status = bar.querySelector("[role=status]");
  const show = () => {
    const wanted = box.value.toLowerCase().trim();
    let count = 0;
    for (const task of tasks) {
      let left = 0;
      for (const question of task.querySelectorAll(".question")) {
        question.hidden = only.checked && !question.classList.contains("differ");
        if (!question.hidden) left += 1;
      }
      task.hidden = left === 0 || !task.dataset.name.includes(wanted);
      if (!task.hidden) count += 1;
    }
    status.textContent = `${count} of ${tasks.length} tasks`;
  };
  box.addEventListener("input", show);
  only.addEventListener("change", show);
  bar.hidden = false;
  show();
}

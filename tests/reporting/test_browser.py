"""The page in a real browser: no sideways scroll, no script from a row, tables that sort."""

import base64
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from made_run import made_run

from refine_af.reporting.report import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--virtual-time-budget=20000", "--dump-dom"),
)

# The probe loads the page in a frame of the wanted width, as the KFP UI does, and looks inside.
PROBE = """<!doctype html><body><iframe id=f style="width:{width}px;height:800px;border:0"></iframe>
<pre id=out></pre><script>
const frame = document.getElementById("f");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  const inside = (one) =>
    one.closest("svg, thead") || one.getBoundingClientRect().right <= {width} + 1;
  const wide = [...page.body.querySelectorAll("*")].filter((one) => !inside(one));
  const table = page.querySelector("#tasks table");
  const heads = [...table.tHead.rows[0].cells].map((one) => one.textContent.trim());
  const place = heads.indexOf("Difference");
  const button = table.tHead.rows[0].cells[place].querySelector("button");
  let sorted = "no script";
  if (button) {{
    button.click();
    const values = [...table.tBodies[0].rows].map((row) => Number(row.cells[place].dataset.value));
    sorted = values.every((one, n) => n === 0 || values[n - 1] >= one);
  }}
  document.getElementById("out").textContent = JSON.stringify({{
    scroll: root.scrollWidth, inner: frame.contentWindow.innerWidth,
    hurt: frame.contentWindow.hurt ?? null, sorted,
    wide: wide.slice(0, 5).map((one) => one.tagName + "." + one.className)}});
}};
frame.srcdoc = new TextDecoder().decode(Uint8Array.from(atob("{page}"), (c) => c.charCodeAt(0)));
</script>"""


@pytest.fixture(scope="module")
def page() -> str:
    return render(made_run(hostile=True)).html


def look(page: str, width: int, folder: Path) -> str:
    probe = folder / "probe.html"
    encoded = base64.b64encode(page.encode()).decode()
    probe.write_text(PROBE.format(width=width, page=encoded), encoding="utf-8")
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={max(width, 500) + 50},900",
        probe.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("width", [1280, 390])
def test_no_sideways_scroll_and_no_script_of_a_row(page: str, width: int, tmp_path: Path) -> None:
    found = look(page, width, tmp_path)
    expected = f'"scroll":{width},"inner":{width},"hurt":null,"sorted":true,"wide":[]'
    assert expected in found


FIRST_SCREEN = """<!doctype html><body>
<iframe id=f style="width:{width}px;height:{height}px;border:0"></iframe>
<pre id=out></pre><script>
const frame = document.getElementById("f");
frame.onload = () => {{
  const page = frame.contentDocument;
  const bottom = (name) => page.querySelector(name).getBoundingClientRect().bottom;
  document.getElementById("out").textContent = `${{bottom(".lead")}} ${{bottom(".card")}}`;
}};
frame.srcdoc = new TextDecoder().decode(Uint8Array.from(atob("{page}"), (c) => c.charCodeAt(0)));
</script>"""


def dumped(probe: Path, *flags: str) -> str:
    assert CHROMIUM is not None
    profile = f"--user-data-dir={probe.parent / 'profile'}"
    command = [CHROMIUM, *FLAGS, profile, *flags, probe.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return done.stdout


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_answer_and_the_first_scores_are_on_the_first_screen(
    page: str, width: int, height: int, tmp_path: Path
) -> None:
    probe = tmp_path / "probe.html"
    encoded = base64.b64encode(page.encode()).decode()
    text = FIRST_SCREEN.format(width=width, height=height, page=encoded)
    probe.write_text(text, encoding="utf-8")
    shown = dumped(probe, f"--window-size={width + 100},{height + 100}")
    found = re.search(r'<pre id="out">([\d.]+) ([\d.]+)</pre>', shown)
    assert found is not None
    assert float(found[1]) < height
    assert float(found[2]) < height


def test_it_prints_on_fewer_than_12_pages(page: str, tmp_path: Path) -> None:
    source, target = tmp_path / "page.html", tmp_path / "page.pdf"
    source.write_text(page, encoding="utf-8")
    dumped(source, f"--print-to-pdf={target}", "--no-pdf-header-footer")
    pages = re.findall(rb"/Type\s*/Page[^s]", target.read_bytes())
    assert 0 < len(pages) < 12

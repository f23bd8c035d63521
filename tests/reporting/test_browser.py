"""The page in a real browser: no sideways scroll, no script from a row, tables that sort."""

import base64
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from made_evolution import made_evolution
from made_run import made_run

from refine_af.reporting.evolution import render as render_evolution
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
  const heads = [...(table?.tHead.rows[0].cells ?? [])].map((one) => one.textContent.trim());
  const place = heads.indexOf("Difference");
  const button = table?.tHead.rows[0].cells[place].querySelector("button");
  let sorted = table ? "no script" : "no table";
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


PAGES = {
    "report": lambda: render(made_run(hostile=True)).html,
    "evolution": lambda: render_evolution(made_evolution()).html,
}


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]()


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
    sorts = "true" if 'id="tasks"' in page else '"no table"'
    assert f'"scroll":{width},"inner":{width},"hurt":null,"sorted":{sorts},"wide":[]' in found


FIRST_SCREEN = """<!doctype html><body>
<iframe id=f style="width:{width}px;height:{height}px;border:0"></iframe>
<pre id=out></pre><script>
const frame = document.getElementById("f");
frame.onload = () => {{
  const page = frame.contentDocument;
  const bottom = (name) => page.querySelector(name).getBoundingClientRect().bottom;
  const first = bottom(".card, tbody tr, .forest");
  document.getElementById("out").textContent = `${{bottom(".lead")}} ${{first}}`;
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


# What Lighthouse and axe look at: contrast of every text as it is drawn, names, order of headings.
AUDIT = """<!doctype html><body><iframe id=f style="width:1280px;height:800px;border:0"></iframe>
<pre id=out></pre><script>
const frame = document.getElementById("f");
frame.onload = () => {{
  const page = frame.contentDocument, view = frame.contentWindow, found = [];
  page.documentElement.style.colorScheme = "{scheme}";
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const part = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const ground = (one) => {{
    for (; one; one = one.parentElement) {{
      const colour = numbers(view.getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }}
    return [255, 255, 255];
  }};
  page.querySelectorAll("details").forEach((one) => {{ one.open = true; }});
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {{
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || one.closest("script, style, [hidden]")) continue;
    const style = view.getComputedStyle(one), inChart = one.closest("svg");
    const ink = numbers(inChart ? style.fill : style.color);
    const pair = [light(ink), light(ground(one))].sort((a, b) => a - b);
    const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    const least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    texts += 1;
    if ((pair[1] + 0.05) / (pair[0] + 0.05) < least)
      found.push(`contrast of ${{one.tagName}}.${{one.className.baseVal ?? one.className}}`);
  }}
  const named = (one) =>
    one.getAttribute("aria-label") || one.labels?.length || one.textContent.trim();
  for (const one of page.querySelectorAll("a, button, input, select, summary, svg, [role=img]"))
    if (!named(one)) found.push(`no name of ${{one.tagName}}`);
  for (const one of page.querySelectorAll("table"))
    if (!one.caption || !one.querySelector("th[scope]")) found.push("table: caption, scope");
  let level = 0;
  for (const one of page.querySelectorAll("h1, h2, h3, h4, h5, h6")) {{
    const next = Number(one.tagName[1]);
    if (next > level + 1) found.push(`${{one.tagName}} after level ${{level}}`);
    level = next;
  }}
  for (const name of ["header", "main", "nav[aria-label]", "title"])
    if (page.querySelectorAll(name).length !== 1) found.push(`not one ${{name}}`);
  if (!page.documentElement.lang) found.push("no language");
  document.getElementById("out").textContent =
    `${{texts > 100}} ${{JSON.stringify([...new Set(found)].slice(0, 9))}}`;
}};
frame.srcdoc = new TextDecoder().decode(Uint8Array.from(atob("{page}"), (c) => c.charCodeAt(0)));
</script>"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_drawn_can_be_read_and_has_names(page: str, scheme: str, tmp_path: Path) -> None:
    probe = tmp_path / "probe.html"
    if scheme == "dark":  # the frame's own preference cannot be set from outside
        page = page.replace("@media (prefers-color-scheme: dark)", "@media all")
    encoded = base64.b64encode(page.encode()).decode()
    probe.write_text(AUDIT.format(scheme=scheme, page=encoded), encoding="utf-8")
    found = re.search(r'<pre id="out">(.*?)</pre>', dumped(probe), flags=re.DOTALL)
    assert found is not None
    assert found[1] == "true []"


def test_it_can_be_read_without_scripts(page: str, tmp_path: Path) -> None:
    """Every section and every answer is in the text; controls that need a script stay hidden."""
    shown = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"<section[^>]*hidden", shown)
    for controls in re.findall(r'<div class="controls"[^>]*>', shown):
        assert " hidden" in controls
    for name in re.findall(r'<a href="#([\w-]+)"', shown):
        assert f'id="{name}"' in shown

"""Are limn's pages accessible? axe-core in a headless Chromium: no violation, by light and by dark, wide and as a phone.

    limn audit plan.yaml -o audit.html
    python3 axe.py audit.html why.html --axe axe.min.js

axe.min.js is Deque's and not kept here: PyPI's axe-playwright-python and axe-core-python carry it. All that unfolds is
unfolded first. Rules: WCAG 2.0 to 2.2 A and AA, and axe's best practices. --print FOLDER also prints each page to a PDF
file there, to be looked at.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

RUN = """
document.querySelectorAll('details').forEach(d => { d.open = true; });
axe.run(document, {resultTypes: ['violations']}).then(found => {
  const said = found.violations.map(v => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.length,
    first: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + ' | ' + (n.any[0] || n.all[0] || n.none[0] || {message: ''})
      .message)}));
  const box = document.createElement('pre');
  box.id = 'axe-said';
  box.textContent = JSON.stringify({checked: found.passes.length, violations: said});
  document.body.append(box);
}).catch(error => {
  const box = document.createElement('pre');
  box.id = 'axe-said';
  box.textContent = JSON.stringify({error: String(error)});
  document.body.append(box);
});
"""
VIEWS = {"light": ["--window-size=1280,900"], "dark": ["--window-size=1280,900", "--force-dark-mode"],
         "phone": ["--window-size=390,844"]}


def chromium(arguments, url, profile):
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=600).stdout


def examine(page, axe, view, folder):
    text = pathlib.Path(page).read_text(encoding="utf-8")
    text, n = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)  # or axe may not run
    if n != 1:
        raise SystemExit(f"{page}: found {n} content policies, expected 1: no page of limn")
    if view == "dark":
        text = text.replace("(prefers-color-scheme: dark)", "all").replace("(prefers-color-scheme:dark)", "all")
    axe = axe.replace("</script", "<\\/script")
    script = f"<script>{axe}</script><script>{RUN}</script>"
    copy = folder / "page.html"
    copy.write_text(text.replace("</body>", script + "</body>") if "</body>" in text else text + script, encoding="utf-8")
    dom = chromium([*VIEWS[view], "--virtual-time-budget=60000", "--dump-dom"], copy.as_uri(), folder / "profile")
    said = re.search(r'<pre id="axe-said">(.*?)</pre>', dom, re.S)
    if not said:
        return {"error": "axe did not end"}
    said = said.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return json.loads(said)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+")
    parser.add_argument("--axe", required=True, help="axe.min.js")
    parser.add_argument("--view", choices=VIEWS, action="append", help="without it, all")
    parser.add_argument("--print", dest="printed", help="a folder for what the printer gets")
    arguments = parser.parse_args()
    axe = pathlib.Path(arguments.axe).read_text(encoding="utf-8")
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for page in arguments.pages:
            for view in arguments.view or VIEWS:
                found = examine(page, axe, view, folder)
                bad = found.get("violations", [])
                failed = failed or bool(bad) or "error" in found
                print(f"{page}, {view}:", found.get("error") or f"{len(bad)} violations, {found['checked']} rules held")
                for violation in bad:
                    print(f"  {violation['id']} ({violation['impact']}), {violation['nodes']} times: {violation['help']}")
                    for node in violation["first"]:
                        print(f"    {node}")
            if arguments.printed:
                target = pathlib.Path(arguments.printed) / (pathlib.Path(page).stem + ".pdf")
                chromium([f"--print-to-pdf={target}", "--no-pdf-header-footer"], pathlib.Path(page).resolve().as_uri(),
                         folder / "profile")
                print(f"{page}: printed to {target}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

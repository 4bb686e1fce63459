"""What scripts/test-pages runs: PROGRAM [FOLDER FOR SCREENSHOTS]. Ends with `N passed, N failed`."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser  # noqa: E402

binary = sys.argv[1]
pictures = sys.argv[2] if len(sys.argv) > 2 else None
passed = failed = 0

HOSTILE = [
    b"<img src=x onerror=alert(1)>", b"<script>alert(2)<", b"<!--<script>", b"]]>", b"\"'`${alert(3)}",
    b"</title><svg onload=alert(5)>", b"new\nline\ttab", b"\xff\xfe not UTF-8", "\u202eevil\u2066".encode(),
    "\u05d0\u05d1\u05d2 \u0645\u0631\u062d\u0628\u0627".encode(), "\U0001f468\u200d\U0001f469\u200d\U0001f467 é".encode(), b"&lt;b&gt;", b"javascript:alert(6)",
    b"__proto__", b"constructor", b"\\377", b"{{data}}", b"%00", b"a" * 255,
]


def check(text, condition, detail=""):
    global passed, failed
    if condition:
        passed += 1
        print(f"ok: {text}")
    else:
        failed += 1
        print(f"FAILED: {text} {detail}")


def write(path, size=0, data=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if data is not None else b"x" * size)


class Stack:
    """Layers on disk, the bottom one first."""

    def __init__(self, folder, commands):
        self.root = folder
        self.ids = [f"{number:064x}" for number in range(1, len(commands) + 1)]
        for at, (id, command) in enumerate(zip(self.ids, commands)):
            os.makedirs(f"{folder}/aufs/diff/{id}")
            os.makedirs(f"{folder}/aufs/layers", exist_ok=True)
            with open(f"{folder}/aufs/layers/{id}", "w") as file:
                file.writelines(parent + "\n" for parent in reversed(self.ids[:at]))
            description = {"created": f"2015-10-21T07:2{at}:00Z", "container_config": {"Cmd": ["/bin/sh", "-c", command]}}
            write(f"{folder}/graph/{id}/json", data=json.dumps(description).encode())

    def diff(self, layer, path):
        return f"{self.root}/aufs/diff/{self.ids[layer - 1]}/{path}"

    def add(self, layer, path, size=0):
        write(self.diff(layer, path), size)

    def page(self, name):
        file = f"{self.root}/{name}"
        subprocess.run([binary, "layers", "--html", file, f"{self.root}/aufs/layers/{self.ids[-1]}"], check=True)
        return file

    def json(self):
        words = [binary, "layers", "--json", f"{self.root}/aufs/layers/{self.ids[-1]}"]
        return json.loads(subprocess.run(words, check=True, capture_output=True).stdout)


def ordinary(folder):
    stack = Stack(folder, ["#(nop) ADD rootfs in /", "make install", "#(nop) CMD [\"sh\"]", "rm -rf /usr/share/doc"])
    for number in range(60):
        stack.add(1, f"usr/lib/lib{number}.so", 1000 * (number + 1))
        stack.add(1, f"usr/share/doc/d{number}/README", 300 * (number + 1))
    stack.add(1, "etc/hosts", 100)
    stack.add(2, "etc/hosts", 120)
    stack.add(2, "usr/local/bin/program", 700_000)
    stack.add(2, "usr/lib/lib59.so", 61_000)
    stack.add(4, "usr/share/.wh.doc")
    return stack


def text(browser, selector):
    return browser.run(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)")


def search(browser, query):
    browser.run("document.getElementById('find').value = ''")
    browser.run("document.getElementById('find').focus()")
    browser.type(query)
    browser.frame()
    return browser.run("[...document.querySelectorAll('#found .path')].map(e => e.textContent)")


def shows_what_the_layers_hold(browser, folder):
    stack = ordinary(f"{folder}/ordinary")
    page, told = stack.page("page.html"), stack.json()
    browser.size(1280, 800)
    browser.open(page)
    check("the page gets ready", browser.run("document.documentElement.dataset.ready") == "true")
    check("the history has every layer, the latest first",
          [line.split("\n")[0] for line in text(browser, "#history li")] == ["4", "3", "2", "1"])
    check("instructions read as they were written", "make install" in "".join(text(browser, "#history li:nth-child(3) code")))
    figures = dict(zip(text(browser, "#figures dt"), text(browser, "#figures dd")))
    total = told["total"]
    check("the figures are those of --json", figures["names seen"] == f"{total['visible_files'] + total['visible_directories']:,}"
          and browser.run("size(sum(layer => layer.wasted[1]))") == figures["wasted"], figures)
    check("the page's tree adds up", browser.run("copies.size.reduce((a, b) => a + b)") == total["bytes"]
          and browser.run("copies.size.filter((_, i) => copies.fate[i] === VISIBLE).reduce((a, b) => a + b)") == total["visible_bytes"])
    check("every path is in it", browser.run("tree.total - 1") == total["names"])

    check("a search for a part finds it", search(browser, "program") == ["/usr/local/bin/program"])
    check("a search with a slash in front finds what begins with it",
          search(browser, "/etc") == ["/etc", "/etc/hosts"] and search(browser, "/hosts") == [])
    check("capitals do not matter", search(browser, "readme")[:1] == ["/usr/share/doc/d0/README"]
          and len(search(browser, "README")) == 60)
    check("what is nowhere is not found", search(browser, "nothing like it") == [] and text(browser, "#find-count") == ["0 names"])
    search(browser, "/etc/hosts")
    check("a result tells the layer that is seen and the older copy",
          browser.run("[...document.querySelectorAll('#found .where .chip')].map(e => e.textContent)") == ["2", "1"])
    browser.key("ArrowDown")
    browser.key("Enter", "\r")
    check("the keyboard opens it", text(browser, "#found .copies li")[1].split() == ["1", "100B", "replaced", "by", "layer", "2"],
          text(browser, "#found .copies li"))
    search(browser, "doc/d3/README")
    check("what is removed tells by whom", "removed by" in text(browser, "#found .where")[0] and "4" in text(browser, "#found .where")[0])
    return page


def map_works(browser, page):
    browser.open(page)
    box = browser.run("(() => { const r = canvas.getBoundingClientRect(); return [r.x, r.y, r.width, r.height] })()")
    check("the map is drawn", browser.run("rects.filter(r => r.isLeaf).length") > 50)
    covered = browser.run("rects.filter(r => r.isLeaf).reduce((a, r) => a + r.w * r.h, 0)") / (box[2] * box[3])
    check("it covers its place", covered > 0.75, covered)
    check("nothing of it lies outside", browser.run(f"rects.every(r => r.x >= -1 && r.y >= -1 && r.x + r.w <= {box[2]} + 1 && r.y + r.h <= {box[3]} + 1)"))
    leaf = browser.run("(() => { const r = rects.find(r => view.type[r.item] === LEAF && labelOf(r.item) === 'program'); return [r.x + r.w / 2, r.y + r.h / 2] })()")
    browser.move(box[0] + leaf[0], box[1] + leaf[1])
    check("the pointer tells path, size and layer", text(browser, "#tip")[0].split() == ["/usr/local/bin/program", "2", "700kB,", "seen"], text(browser, "#tip"))
    browser.click(box[0] + leaf[0], box[1] + leaf[1])
    browser.frame()
    check("a click goes in", browser.run("root") > 0 and len(text(browser, "#crumbs button")) == 2)
    browser.run("document.querySelector('#crumbs button').click()")
    check("the way back is there", browser.run("root") == 0)
    browser.run("canvas.focus()")
    for key in ("ArrowRight", "Enter", "ArrowDown", "Enter", "Escape"):
        browser.key(key, "\r" if key == "Enter" else "")
    check("the keyboard goes in and out", text(browser, "#crumbs button")[2:] == ["usr"] and browser.run("!frame.hidden"))
    browser.run("document.querySelector('input[value=directory]').click()")
    check("by directory, the root is /", text(browser, "#crumbs button") == ["/"])
    browser.run("document.getElementById('only-wasted').click()")
    check("only what is wasted", browser.run("view.weight[0] === sum(layer => layer.wasted[1])"))
    browser.run("document.querySelector('#history [data-layer=\"1\"]').click()")
    check("a layer can be chosen", browser.run("document.querySelector('#history [data-layer=\"1\"]').getAttribute('aria-pressed')") == "true")
    search(browser, "lib59")
    browser.run("document.querySelector('#found .row').click(); document.querySelector('#found .detail button').click()")
    check("a result is shown in the map", browser.run("pathOf(nodeOf(cursor))") == "/usr/lib/lib59.so")


def is_readable(browser, page):
    for width, height in ((1280, 800), (400, 800), (760, 900), (320, 640)):
        for dark in (False, True):
            browser.size(width, height, dark)
            browser.open(page)
            wide = browser.run("document.documentElement.scrollWidth")
            check(f"nothing is cut off at {width} {'dark' if dark else 'light'}", wide <= width, wide)
            if pictures:
                browser.picture(f"{pictures}/{width}-{'dark' if dark else 'light'}.png", True)
    browser.size(1280, 800)
    browser.open(page)
    light = browser.run("getComputedStyle(document.documentElement).backgroundColor")
    browser.size(1280, 800, True)
    browser.frame()
    check("it turns dark while it is open", browser.run("getComputedStyle(document.documentElement).backgroundColor") != light)
    for scheme in (False, True):
        browser.size(1280, 800, scheme)
        browser.frame()
        low = browser.run("""(() => {
          const part = text => text.match(/[\\d.]+/g).map(Number);
          const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * x + .7152 * y + .0722 * z };
          const ground = element => { for (let e = element; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor, p = part(c); if (c.startsWith('rgb') && (p.length < 4 || p[3] === 1)) return p; } return [255, 255, 255] };
          return [...document.querySelectorAll('p, h1, h2, dt, dd, code, .meta span, time, .bars span, .delta span, .chip:not(.older), label span, .size')].filter(e => e.innerText && e.checkVisibility() && !e.closest('.empty')).map(e => {
            const [a, b] = [light(part(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
            return [(a + .05) / (b + .05), e.className || e.tagName, e.innerText.slice(0, 20)] }).filter(x => x[0] < 4.5) })()""")
        check(f"texts stand out, {'dark' if scheme else 'light'}", low == [], low)
    names = browser.run("[...document.querySelectorAll('button, input, canvas')].filter(e => e.checkVisibility() && !(e.innerText || e.labels?.length || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby'))).length")
    check("every control has a name", names == 0, names)


def no_name_runs(browser, folder):
    stack = Stack(f"{folder}/hostile", ["#(nop) <script>alert(7)</script>", "echo '</script><script>alert(8)</script>'"])
    for name in HOSTILE:
        path = os.fsencode(stack.diff(1, "")) + name
        os.makedirs(path, exist_ok=True)
        os.makedirs(os.path.dirname(path + b"/" + name), exist_ok=True)
        with open(path + b"/" + name, "wb") as file:
            file.write(b"x" * 1000)
    write(stack.diff(1, "</script><script>alert(9)<"), 5000)
    write(stack.diff(2, "</script><img src=x onerror=alert(10)>"), 5000)
    page = stack.page("page.html")
    for dark in (False, True):
        browser.size(1280, 900, dark)
        browser.open(page)
    check("hostile names are all there", browser.run("tree.total - 1") == stack.json()["total"]["names"])
    check("no element comes from a name", browser.run("document.querySelectorAll('img, svg, iframe, body script').length") == 2)
    search(browser, "alert")
    browser.run("document.querySelectorAll('#found .row, #wasters .row, #largest .row').forEach(e => e.click())")
    browser.run("document.querySelectorAll('#history .stop').forEach(e => e.click())")
    check("what is no UTF-8 is spelt", search(browser, "\\377\\376 not") != [] and search(browser, "evil")[0] == "/\\342\\200\\256evil\\342\\201\\246")
    check("emoji and letters stay as they are", len(search(browser, "\U0001f468\u200d\U0001f469\u200d\U0001f467 é")) == 2)
    check("a name like a property is only a name", search(browser, "/__proto__") == ["/__proto__", "/__proto__/__proto__"])
    check("a backslash finds itself", "/\\377" in search(browser, "/\\377"))
    box = browser.run("(() => { const r = canvas.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()")
    browser.move(*box)
    browser.run("eval")
    check("the page lets no other script run", browser.run(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); return window.ran === undefined })()"))
    browser.problems = [problem for problem in browser.problems if "Content Security Policy" not in problem]


def many_names_are_fast(browser, folder):
    stack = Stack(f"{folder}/many", ["one", "two"])
    for number in range(20_000):
        write(stack.diff(1 + number % 2, f"d{number // 500}/e{number // 50 % 10}/file-{number}.txt"), number % 977)
    page = stack.page("page.html")
    seconds = browser.open(page)
    per_name = os.path.getsize(page) / 20_000
    check("20,000 names are ready within a second or so", seconds < 3, f"{seconds:.2f} s")
    check("a name takes some 25 bytes of the page", per_name < 32, f"{per_name:.0f}")
    begin = time.monotonic()
    found = search(browser, "file-19999")
    check("a search is answered at once", found == ["/d39/e9/file-19999.txt"] and time.monotonic() - begin < 2, found)
    check("a long result comes in parts", len(search(browser, "file")) == 100 and text(browser, "#find-count") == ["20,000 names"])
    print(f"    {seconds:.2f} s, {os.path.getsize(page):,} bytes")


def main():
    folder = tempfile.mkdtemp(prefix="unionfs-swift-pages.", dir="/var/tmp")
    try:
        with Browser() as browser:
            page = shows_what_the_layers_hold(browser, folder)
            map_works(browser, page)
            is_readable(browser, page)
            no_name_runs(browser, folder)
            many_names_are_fast(browser, folder)
            check("nothing went wrong on the way", browser.problems == [], browser.problems)
            asked = [url for url in browser.requests if not url.startswith(f"file://{folder}/")]
            check("nothing was asked of the network or another file", asked == [], asked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()

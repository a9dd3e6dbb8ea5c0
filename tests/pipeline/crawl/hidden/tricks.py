"""Ways to hide a sentence, and ways that look like one and hide nothing, each a page of its own."""

SECRET = "The secret sentence stands here"
SEEN = "Everybody can read this line."

Trick = tuple[str, str]
"""(what stands in a style sheet, what stands in the body)."""

HIDES: dict[str, dict[str, Trick]] = {
    "display": {
        "inline": ("", f'<p style="display:none">{SECRET}</p>'),
        "important": (".a{display:none!important}", f'<p class=a style="display:block">{SECRET}</p>'),
        "escaped": ("", f'<p style="d\\69 splay:n\\6fne">{SECRET}</p>'),
        "comment in CSS": ("", f'<p style="display/**/:/*;*/none">{SECRET}</p>'),
        "child": (".a > .b{display:none}", f"<div class=a><p class=b>{SECRET}</p></div>"),
        "descendant": ("div .b em{display:none}", f"<div><p class=b><b><em>{SECRET}</em></b></p></div>"),
        "sibling": ("h2 ~ p{display:none}", f"<h2>Title</h2><hr><p>{SECRET}</p>"),
        "adjacent": ("h2 + p{display:none}", f"<h2>Title</h2><p>{SECRET}</p>"),
        "attribute": ('[data-x^="ab"]{display:none}', f'<p data-x="abc">{SECRET}</p>'),
        "not": ("div p:not(.seen){display:none}", f"<div><p>{SECRET}</p></div>"),
        "is": (":is(.a, .b) p{display:none}", f"<div class=b><p>{SECRET}</p></div>"),
        "where": (":where(.b, p.a){display:none}", f"<p class=a>{SECRET}</p>"),
        "nth": ("p:nth-child(2n){display:none}", f"<div><p>one</p><p>{SECRET}</p></div>"),
        "nested rule": (".a{color:red; & .b{display:none}}", f"<div class=a><p class=b>{SECRET}</p></div>"),
        "screen": ("@media screen and (min-width:600px){.a{display:none}}", f"<p class=a>{SECRET}</p>"),
        "layer": ("@layer x{.a{display:none}}", f"<p class=a>{SECRET}</p>"),
        "variable": (":root{--d:none} .a{display:var(--d)}", f"<p class=a>{SECRET}</p>"),
        "specific": ("p.a{display:none} p{display:block}", f"<p class=a>{SECRET}</p>"),
        "open at the end": (".a{display:none", f"<p class=a>{SECRET}</p>"),
        "dialog": ("", f"<dialog>{SECRET}</dialog>"),
    },
    "hidden_attribute": {"hidden": ("", f"<p hidden>{SECRET}</p>")},
    "visibility": {
        "hidden": ("", f'<p style="visibility:hidden">{SECRET}</p>'),
        "inherited": (".a{visibility:hidden}", f"<div class=a><p>{SECRET}</p></div>"),
        "collapse": ("", f'<p style="visibility:collapse">{SECRET}</p>'),
    },
    "opacity": {
        "zero": ("", f'<p style="opacity:0">{SECRET}</p>'),
        "product": (".a{opacity:.2}", f"<div class=a><p class=a>{SECRET}</p></div>"),
        "filter": ("", f'<p style="filter:opacity(0)">{SECRET}</p>'),
    },
    "font_size": {
        "zero": ("", f'<p style="font-size:0">{SECRET}</p>'),
        "one pixel": ("", f'<p style="font-size:1px">{SECRET}</p>'),
        "shorthand": (".a{font:0/0 a}", f"<p class=a>{SECRET}</p>"),
        "em of em": (".a{font-size:.3em}", f"<div class=a><div class=a><p>{SECRET}</p></div></div>"),
    },
    "colour": {
        "white": ("", f'<p style="color:#fff">{SECRET}</p>'),
        "nearly": ("", f'<p style="color:rgb(250 250 250)">{SECRET}</p>'),
        "hsl on its own": ("", f'<p style="background:navy;color:hsl(240 100% 25%)">{SECRET}</p>'),
        "of an ancestor": (".a{background:#123456}", f'<div class=a><p style="color:#123457">{SECRET}</p></div>'),
        "transparent": ("", f'<p style="color:transparent">{SECRET}</p>'),
        "half": ("", f'<p style="color:rgba(0,0,0,.03)">{SECRET}</p>'),
        "font": ("", f'<p><font color="white">{SECRET}</font></p>'),
        "table": ("", f'<table bgcolor="#000000"><tr><td><font color=black>{SECRET}</font></td></tr></table>'),
        "fill": ("", f'<p style="-webkit-text-fill-color:white">{SECRET}</p>'),
        "flat gradient": ("", f'<p style="background:linear-gradient(#000,#000);color:#000">{SECRET}</p>'),
    },
    "off_screen": {
        "left": ("", f'<p style="position:absolute;left:-9999px">{SECRET}</p>'),
        "top em": (".a{position:fixed;top:-999em}", f"<p class=a>{SECRET}</p>"),
        "inset": ("", f'<p style="position:absolute;inset:auto auto auto -5000px">{SECRET}</p>'),
        "indent": ("", f'<p style="text-indent:-9999px">{SECRET}</p>'),
        "translate": ("", f'<p style="transform:translateX(-5000px)">{SECRET}</p>'),
        "margin": ("", f'<p style="margin-left:-9999px;width:500px">{SECRET}</p>'),
        "waiting menu": (
            ".m{position:fixed;left:0;margin-left:-350px;width:350px}", f"<div class=m><p>{SECRET}</p></div>"
        ),
        "waiting menu by its width": (
            ".m{position:fixed;top:0;left:0;transform:translateX(-100%)}", f"<div class=m><p>{SECRET}</p></div>"
        ),
        "waiting banner": ("", f'<p style="position:fixed;top:-60px;height:60px;margin:0">{SECRET}</p>'),
        "calc": ("", f'<p style="position:absolute;left:calc(-1 * 9999px)">{SECRET}</p>'),
    },
    "clipped": {
        "clip": ("", f'<p style="position:absolute;clip:rect(0,0,0,0)">{SECRET}</p>'),
        "clip with pixels": ("", f'<p style="position:absolute;clip:rect(1px 1px 1px 1px)">{SECRET}</p>'),
        "inset": ("", f'<p style="clip-path:inset(50%)">{SECRET}</p>'),
        "no height": ("", f'<p style="height:0;overflow:hidden">{SECRET}</p>'),
        "one pixel": (
            ".a{position:absolute;width:1px;height:1px;overflow:hidden}", f"<p><span class=a>{SECRET}</span></p>"
        ),
        "scale": ("", f'<p style="transform:scale(0)">{SECRET}</p>'),
    },
}  # fmt: skip

SHOWS: dict[str, Trick] = {
    "print only": ("@media print{.a{display:none}}", f"<p class=a>{SECRET}</p>"),
    "a phone": ("@media (max-width:600px){.a{display:none}}", f"<p class=a>{SECRET}</p>"),
    "hover": (".a:hover{display:none}", f"<p class=a>{SECRET}</p>"),
    "another class": (".b{display:none}", f"<p class=a>{SECRET}</p>"),
    "invalid value": ("", f'<p style="display:none nonsense">{SECRET}</p>'),
    "later wins": (".a{display:none} .a{display:block}", f"<p class=a>{SECRET}</p>"),
    "inline wins": (".a{display:none}", f'<p class=a style="display:block">{SECRET}</p>'),
    "shown again": (".a{visibility:hidden}", f'<div class=a><p style="visibility:visible">{SECRET}</p></div>'),
    "sized again": (".a{font-size:0}", f'<div class=a><p style="font-size:16px">{SECRET}</p></div>'),
    "in a string": ('.a::before{content:"} .a{display:none} "}', f"<p class=a>{SECRET}</p>"),
    "in a comment": ("/* .a{display:none} */", f"<p class=a>{SECRET}</p>"),
    "a brace too many": ("} .a{display:none}", f"<p class=a>{SECRET}</p>"),
    "keyframes": ("@keyframes a{from{opacity:0}to{opacity:1}}", f"<p class=a>{SECRET}</p>"),
    "before": (".a::before{display:none}", f"<p class=a>{SECRET}</p>"),
    "no box": ("", f'<p><span style="width:0;height:0;overflow:hidden">{SECRET}</span></p>'),
    "room by padding": ("", f'<p style="height:0;padding-bottom:60%;overflow:hidden">{SECRET}</p>'),
    "a wide menu": (
        ".m{position:fixed;left:0;margin-left:-350px;width:750px;text-align:right}",
        f"<div class=m><p>{SECRET}</p></div>",
    ),
    "a menu that slid in": (
        ".m{position:fixed;left:0;transform:translateX(-100%)} .m.open{transform:none}",
        f"<div class='m open'><p>{SECRET}</p></div>",
    ),
    "pulled in its parent": (
        ".a{padding-left:400px} .m{margin-left:-350px;width:350px}", f"<div class=a><p class=m>{SECRET}</p></div>"
    ),
    "static": ("", f'<p style="left:-9999px">{SECRET}</p>'),
    "clip of the unplaced": ("", f'<p style="clip:rect(0,0,0,0)">{SECRET}</p>'),
    "white on black": ("", f'<p style="background:#000;color:#fff">{SECRET}</p>'),
    "white on an image": ("", f'<p style="background:url(x.png);color:#fff">{SECRET}</p>'),
    "a link": ("", f'<div style="color:#fff"><a href="/x">{SECRET}</a></div>'),
    "red on its grey": ("", f'<p style="background:#7f7f7f;color:#f00">{SECRET}</p>'),
    "pale": ("", f'<p style="color:#ccc">{SECRET}</p>'),
    "three pixels": ("", f'<p style="font-size:3px">{SECRET}</p>'),
    "half opacity": ("", f'<p style="opacity:.3">{SECRET}</p>'),
    "aria": ("", f'<p aria-hidden="true">{SECRET}</p>'),
    "layers give way": (".a{display:block} @layer x{.a{display:none}}", f"<p class=a>{SECRET}</p>"),
    "checked": (
        ".t{display:none} #x:checked ~ .t{display:block}", f"<input id=x type=radio checked><p class=t>{SECRET}</p>"
    ),
}  # fmt: skip


def page(trick: Trick) -> str:
    sheet, body = trick
    return (
        f"<!DOCTYPE html><html><head><title>Page</title><style>{sheet}</style></head>"
        f"<body><p>{SEEN}</p>{body}</body></html>"
    )


HIDING = [(kind, name) for kind, tricks in HIDES.items() for name in tricks]

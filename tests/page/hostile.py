"""Twenty texts that would do something if a page took them for anything but text."""

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<iframe src=http://evil.example></iframe>",
    "<a href='http://evil.example'>here</a>",
    "<style>*{display:none}</style>",
    "</td></tr></table><h1>out</h1>",
    "<marimo-button data-label='x'></marimo-button>",
    "<marimo-ui-element object-id='a'>",
    "<!-- comment",
    "]]><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    '" onmouseover="alert(1)',
    "data:image/png;base64,iVBORw0KGgo=",
    "data:text/html,<script>alert(1)</script>",
    "javascript:alert(1)",
    "![picture](http://evil.example/a.png)",
    "$\\href{http://evil.example}{x}$",
    "&lt;script&gt;",
    "\x00\x1b[31m\u202e<b>bold</b>",
]

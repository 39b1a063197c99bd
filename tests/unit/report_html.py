"""A page of the site as its elements, and what a stranger's plugin may bring into it."""

from html.parser import HTMLParser

MARKUP = "<script>alert(1)</script>"
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'


class Page(HTMLParser):
    """Elements of a page, checked for balance."""

    VOID = ("meta", "img", "br", "link", "hr", "input")

    def __init__(self, path):
        super().__init__()
        self.path, self.text = path, path.read_text(encoding="utf-8")
        self.elements, self.open = [], []
        self.feed(self.text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def values(self, name):
        return [attributes[name] for _, attributes in self.elements if name in attributes]

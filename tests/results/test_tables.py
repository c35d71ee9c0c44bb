from html.parser import HTMLParser

from metaplastic.results.tables import table_page


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        if self.tags and self.tags[-1] in {"th", "td", "h1", "strong"}:
            self.texts.append(data.strip())


def test_a_table_is_a_page_of_its_own():
    page = table_page(
        "Study mine", "| Method | a |\n|---|---|\n| oja | **50.0 ± 1.0** |\n\nAs <script>said</script>.\n"
    )
    cells = Cells()
    cells.feed(page)
    assert cells.tags.count("td") == 2
    assert [text for text in cells.texts if text] == ["Study mine", "Method", "a", "oja", "50.0 ± 1.0"]
    assert "script" not in cells.tags
    assert "http" not in page

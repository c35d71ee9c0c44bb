from html.parser import HTMLParser

from metaplastic.results.scores import summarise
from metaplastic.results.tables import markdown_table, table_page
from toy_scores import evaluation


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


def test_random_initialisation_alone_is_compared_with_nothing():
    text = markdown_table(summarise([evaluation("random-init", "digits", 0.5)]))
    assert "| random-init | **50.0 ± " in text
    assert "Points over" not in text

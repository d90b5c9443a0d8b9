"""`python -m orchestration.page_server PORT DOCS REPORTS`: dbt's page and the drift reports on loopback, nothing else.

A browser does not follow a link from Dagster's page to a file. It needs the standard library alone and starts at once.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from jobs.loopback import HOST

DBT_PAGE = re.compile(r"/(?:index\.html)?")
REPORT = re.compile(r"/reports/(?P<use_case>\w+)/(?P<day>\d{4}-\d{2}-\d{2}|latest)\.html")
NO_DOCS = "dbt's page is not made yet: `evergreen docs` makes it."
NO_REPORT = "There is no such report, or no more: materialize monitoring/drift_report, which draws the latest one."


class Pages(BaseHTTPRequestHandler):
    """Answers with one of the files, or says in a line how it would be made."""

    def __init__(self, docs: Path, reports: Path, *arguments: object) -> None:
        self._docs, self._reports = docs, reports
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Send a page."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send the headers of a page."""
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        file, otherwise = self._file(self.path.partition("?")[0])
        made = file is not None and file.is_file()
        body = file.read_bytes() if file and made else otherwise.encode()
        self.send_response(200 if made else 404)
        self.send_header("Content-Type", f"text/{'html' if made else 'plain'}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _file(self, path: str) -> tuple[Path | None, str]:
        """The file of a path of an address, and what is said if it is not there."""
        if DBT_PAGE.fullmatch(path):
            return self._docs / "index.html", NO_DOCS
        if report := REPORT.fullmatch(path):
            folder, day = self._reports / report["use_case"], report["day"]
            newest = max(folder.glob("*.html"), default=None)
            return newest if day == "latest" else folder / f"{day}.html", NO_REPORT
        return None, "There is no such page."


def main(port: str, docs: str, reports: str) -> None:
    """Serve until this process is ended."""
    ThreadingHTTPServer((HOST, int(port)), partial(Pages, Path(docs), Path(reports))).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])

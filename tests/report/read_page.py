"""What stands on a page: its words, its tables, and the figures as data."""

import json
from html.parser import HTMLParser

from aiida_mlcc.report.data.arrays import curves_of_run
from aiida_mlcc.report.data.results import results_of
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.page import render


class Page(HTMLParser):
    """Collect what a page loads, runs and says."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.loaded, self.scripts, self.data, self.images, self.words = [], [], {}, [], []
        self._inside, self._attributes = None, {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.loaded += [value for name, value in attrs if name == 'src' or (name == 'href' and tag == 'link')]
        if tag == 'img':
            self.images.append(attributes)
        if tag == 'meta' and attributes.get('http-equiv') == 'Content-Security-Policy':
            self.policy = attributes['content']
        if tag in ('script', 'style'):
            self._inside, self._attributes = tag, attributes

    def handle_endtag(self, tag):
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data):
        if self._inside is None:
            self.words.append(data)
        elif self._inside == 'script' and self._attributes.get('type') == 'application/json':
            self.data[self._attributes['id']] = json.loads(data)
        elif self._inside == 'script':
            self.scripts.append(data)


def findings_of(process):
    """Return what a report shows of a run."""
    return Findings(process, curves_of_run(process), results_of(process))


def page_of(process):
    """Return the page of a run."""
    return Page(render(findings_of(process)))


def traces(page, figure, role):
    """Return the traces of a figure with a role, by method; the last of those that a method has several of."""
    return {t['meta']['method']: t for t in page.data[f'{figure}-data']['data'] if t['meta']['role'] == role}


def named(page, figure, name):
    """Return the trace of a figure with a name."""
    return next(trace for trace in page.data[f'{figure}-data']['data'] if trace['name'] == name)

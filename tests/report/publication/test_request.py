"""Authors, ORCID iDs and licences as a person gives them."""

import pytest

from aiida_mlcc.report.publication.request import UNNAMED, Author, Refused, Request, authors_from, licence_of, orcid_of

JOSIAH = '0000-0002-1825-0097'
"""The iD that ORCID publishes as an example."""


@pytest.mark.parametrize('text', [JOSIAH, f'https://orcid.org/{JOSIAH}', f' {JOSIAH} '])
def test_an_orcid_is_read_in_its_forms(text):
    assert orcid_of(text) == JOSIAH


@pytest.mark.parametrize('text', ['0000-0002-1694-233X', '0000-0001-5109-3700'])
def test_the_check_digit_is_that_of_iso_7064(text):
    assert orcid_of(text) == text


@pytest.mark.parametrize('text', ['0000000218250097', 'orcid', '0000-0002-1825-009', 'https://example.org/' + JOSIAH])
def test_another_form_is_refused(text):
    with pytest.raises(Refused, match='has the form'):
        orcid_of(text)


def test_a_mistyped_digit_is_refused():
    with pytest.raises(Refused, match='mistyped'):
        orcid_of('0000-0002-1825-0098')


def test_authors_get_their_orcids_in_order_and_share_one_affiliation():
    found = authors_from(['Carberry, Josiah', 'Doe, Jo'], [JOSIAH], ['Brown University'])
    assert found == (Author('Carberry, Josiah', JOSIAH, 'Brown University'), Author('Doe, Jo', '', 'Brown University'))


def test_an_orcid_without_a_name_is_an_author_to_be_named():
    assert authors_from([], [JOSIAH], []) == (Author(UNNAMED, JOSIAH),)


def test_more_orcids_than_authors_are_refused():
    with pytest.raises(Refused, match='one --author for each'):
        authors_from(['Doe, Jo'], [JOSIAH, JOSIAH], [])


def test_a_licence_is_known_in_any_case_and_others_are_refused():
    assert licence_of('cc-by-4.0') == 'CC-BY-4.0'
    with pytest.raises(Refused, match='choose from CC-BY'):
        licence_of('mine')


def test_a_request_is_read_as_it_was_written(tmp_path):
    request = Request((('a', ''),), 'Phonons', '2026-01-01T00:00:00+00:00', (Author('Doe, Jo'),), failed=('HF',))
    (tmp_path / 'request.json').write_text(request.to_json())
    read = Request.read(tmp_path / 'request.json')
    assert (read.runs, read.authors, list(read.failed)) == (request.runs, request.authors, ['HF'])

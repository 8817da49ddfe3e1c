"""The page in a browser, where playwright and a Chromium are there; CHROMIUM may name the program."""

import os

import pytest

from aiida_mlcc.report.page.page import write_report

playwright = pytest.importorskip('playwright.sync_api')


@pytest.fixture(scope='module')
def opened(full, tmp_path_factory):
    """Return a function that opens the page of the full run at a width, and what the browser complained of."""
    folder = tmp_path_factory.mktemp('report')
    write_report(full.process, folder)
    with playwright.sync_playwright() as started:
        try:
            browser = started.chromium.launch(executable_path=os.environ.get('CHROMIUM'), args=['--no-sandbox'])
        except playwright.Error as error:
            pytest.skip(f'no Chromium: {error}')

        def open_at(width):
            page = browser.new_page(viewport={'width': width, 'height': 900})
            complaints = []
            page.on('console', lambda message: complaints.append(message.text))
            page.on('pageerror', lambda error: complaints.append(str(error)))
            page.on('request', lambda request: complaints.append(request.url) if 'http' in request.url[:4] else None)
            page.goto(f'file://{folder}/index.html')
            page.wait_for_selector('html[data-ready=yes]')
            return page, complaints

        yield open_at
        browser.close()


def _shown(page, role, figure='dispersion'):
    found = page.evaluate(
        '(id) => document.getElementById(id).data.filter((trace) => trace.visible !== false).map((t) => t.meta)', figure
    )
    return {meta['method'] for meta in found if meta['role'] == role}


@pytest.mark.parametrize('width', [1280, 390])
def test_the_page_opens_without_complaint_and_fits_the_width(opened, width):
    page, complaints = opened(width)
    assert complaints == []
    assert page.evaluate('document.documentElement.scrollWidth') <= width


def test_methods_and_bands_are_switched_with_the_keyboard(opened):
    page, complaints = opened(1280)
    assert _shown(page, 'sd') == {'LDA', 'HF', 'CCSD(T)'}
    page.locator('input[name=method][value=HF]').focus()
    page.keyboard.press('Space')
    page.locator('input[name=band][value=sd]').focus()
    page.keyboard.press('ArrowRight')
    assert _shown(page, 'line') == {'LDA', 'CCSD(T)'}
    assert _shown(page, 'range') == {'LDA', 'CCSD(T)'}
    assert _shown(page, 'sd') == set()
    assert complaints == []


@pytest.mark.parametrize('figure', ['spectrum', 'autocorrelation', 'thermal', 'displacements', 'gruneisen'])
def test_methods_bands_and_members_are_switched_in_every_figure(opened, figure):
    page, complaints = opened(1280)
    assert _shown(page, 'line', figure) == {'LDA', 'HF', 'CCSD(T)'}
    page.locator('input[name=method][value=LDA]').focus()
    page.keyboard.press('Space')
    page.locator('input[name=role][value=member]').focus()
    page.keyboard.press('Space')
    page.locator('input[name=band][value=sd]').focus()
    page.keyboard.press('ArrowRight')
    for role in ('line', 'member', 'range'):
        assert _shown(page, role, figure) == {'HF', 'CCSD(T)'}
    assert _shown(page, 'sd', figure) == set()
    assert complaints == []


@pytest.mark.parametrize(
    ('role', 'figure'), [('element', 'spectrum'), ('element', 'autocorrelation'), ('mesh', 'spectrum')]
)
def test_elements_and_the_full_mesh_are_shown_on_request(opened, role, figure):
    page, complaints = opened(1280)
    assert _shown(page, role, figure) == set()
    page.locator(f'input[name=role][value={role}]').focus()
    page.keyboard.press('Space')
    assert _shown(page, role, figure) == {'LDA', 'HF', 'CCSD(T)'}
    assert complaints == []


def test_the_rows_of_a_method_go_with_it(opened):
    page, _ = opened(1280)
    peaks = page.locator('section', has=page.locator('h2', has_text='Peaks of the spectrum')).locator('tbody:visible')
    assert peaks.count() == 3
    page.locator('input[name=method][value=HF]').uncheck()
    assert peaks.count() == 2
    assert 'HF' not in ''.join(peaks.all_inner_texts())


def test_the_slider_reads_out_every_branch_of_the_methods_shown(opened):
    page, _ = opened(1280)
    page.locator('#readout-at').focus()
    for _ in range(4):
        page.keyboard.press('ArrowRight')
    text = page.locator('#readout').inner_text()
    assert 'X (0.500 0.000 0.500)' in text
    assert '320.0 ± 4.0' in text, 'that of the error budget, as in the table'
    assert 'LDA (sd over the members only)' in text


def test_hovering_a_panel_tells_temperature_value_and_spread(opened):
    page, _ = opened(1280)
    page.locator('#thermal').scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    box = page.locator('#thermal .nsewdrag').nth(1).bounding_box()
    for step in range(5, int(box['height']), 4):
        page.mouse.move(box['x'] + 0.5 * box['width'], box['y'] + step)
        page.wait_for_timeout(30)
        told = page.evaluate("document.querySelector('#thermal .hoverlayer').textContent")
        if 'entropy' in told:
            break
    assert '500 K: entropy' in told
    assert 'sd' in told


def test_hovering_a_line_tells_branch_and_wave_vector(opened):
    page, _ = opened(1280)
    box = page.locator('#dispersion .nsewdrag').first.bounding_box()
    for step in range(5, int(box['height']), 4):
        page.mouse.move(box['x'] + 0.5 * box['width'], box['y'] + step)
        page.wait_for_timeout(30)
        told = page.evaluate("document.querySelector('#dispersion .hoverlayer').textContent")
        if 'branch' in told:
            break
    assert 'q = (' in told

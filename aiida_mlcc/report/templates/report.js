'use strict';
(() => {
  const form = document.querySelector('form.controls');
  const plots = [...document.querySelectorAll('.plot')];
  const readout = JSON.parse(document.getElementById('readout-data').textContent);
  const slider = document.getElementById('readout-at');
  const narrow = matchMedia('(max-width: 40rem)');
  const touch = matchMedia('(pointer: coarse)');

  const chosen = (name) => [...form.querySelectorAll(`input[name="${name}"]:checked`)].map((input) => input.value);

  function isShown(meta, methods, band, roles) {
    if (meta.role === 'reference') return roles.includes('reference');
    if (!methods.includes(meta.method)) return false;
    if (meta.role === 'range' || meta.role === 'sd') return meta.role === band;
    if (['member', 'element', 'mesh'].includes(meta.role)) return roles.includes(meta.role);
    return true;
  }

  function show() {
    const methods = chosen('method');
    const band = chosen('band')[0];
    const roles = chosen('role');
    for (const plot of plots) {
      Plotly.restyle(plot, { visible: plot.data.map((trace) => isShown(trace.meta, methods, band, roles)) });
    }
    for (const cell of document.querySelectorAll('[data-method]')) {
      cell.hidden = !methods.includes(cell.dataset.method);
    }
    read();
  }

  function sizes() {
    const small = narrow.matches;
    const size = small ? 11 : 13;
    return {
      'font.size': size,
      'xaxis2.title.font.size': small ? 9.5 : 14,
      'margin.l': small ? 46 : 64,
      'margin.r': small ? 8 : 14,
      'margin.b': small ? 62 : 66,
      dragmode: touch.matches ? false : 'zoom',
    };
  }

  function element(name, text) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function read() {
    if (!slider) return;
    const at = Number(slider.value);
    const q = readout.qpoints[at].map((component) => component.toFixed(3)).join(' ');
    const label = readout.labels[at];
    const place = label ? `${label} (${q})` : `q = (${q})`;
    slider.setAttribute('aria-valuetext', place);
    const told = element('p', `${place}: mean ± sd over the members, cm⁻¹, branch by branch`);
    const table = element('table');
    for (const method of chosen('method')) {
      const values = readout.methods[method];
      if (!values) continue;
      const row = element('tr');
      row.append(element('th', method));
      values.mean[at].forEach((mean, branch) => {
        const sd = mean !== null && values.sd ? ` ± ${values.sd[at][branch].toFixed(1)}` : '';
        row.append(element('td', `${mean === null ? '–' : mean.toFixed(1)}${sd}`));
      });
      table.append(row);
    }
    document.getElementById('readout').replaceChildren(told, table);
    const line = { type: 'line', xref: 'x', yref: 'paper', y0: 0, y1: 1, line: { color: '#59626c', width: 1, dash: 'dot' } };
    Plotly.relayout('dispersion', { shapes: [{ ...line, x0: readout.distances[at], x1: readout.distances[at] }] });
  }

  const drawn = plots.map((plot) => {
    const figure = JSON.parse(document.getElementById(`${plot.id}-data`).textContent);
    const config = {
      responsive: true,
      displaylogo: false,
      displayModeBar: touch.matches ? false : 'hover',
      // Named one by one: by default there is one that sends the figure elsewhere.
      modeBarButtons: [['toImage', 'zoom2d', 'pan2d', 'zoomIn2d', 'zoomOut2d', 'resetScale2d']],
      plotlyServerURL: '',
    };
    return Plotly.newPlot(plot, figure.data, figure.layout, config).then(() => Plotly.relayout(plot, sizes()));
  });
  Promise.all(drawn).then(() => {
    show();
    form.addEventListener('change', show);
    form.addEventListener('submit', (event) => event.preventDefault());
    narrow.addEventListener('change', () => plots.forEach((plot) => Plotly.relayout(plot, sizes())));
    if (slider) slider.addEventListener('input', read);
    document.documentElement.dataset.ready = 'yes';
  });
})();

'use strict';
(() => {
  const form = document.querySelector('form.controls');
  const plots = [...document.querySelectorAll('.plot')];
  const readout = JSON.parse(document.getElementById('readout-data').textContent);
  const slider = document.getElementById('readout-at');
  const narrow = matchMedia('(max-width: 40rem)');
  const touch = matchMedia('(pointer: coarse)');

  // Conversions of CODATA 2018: c in cm/ps and hc in meV·cm.
  const UNITS = {
    'cm-1': { name: 'cm⁻¹', factor: 1, digits: 0 },
    THz: { name: 'THz', factor: 0.0299792458, digits: 2 },
    meV: { name: 'meV', factor: 0.1239841984, digits: 1 },
  };

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

  const unit = () => UNITS[chosen('unit')[0]];

  // A figure, whose frequencies are in cm⁻¹, with these in another unit; `powers` says which axes show frequencies.
  function inUnit(figure, { name, factor, digits }) {
    const { powers, told } = figure.layout.meta || {};
    if (!powers || factor === 1) return figure;
    const scaled = (values, power) => values.map((v) => (typeof v === 'number' ? v * factor ** power : v));
    const words = (text) => text.replaceAll('cm⁻¹', name);
    const data = figure.data.map((trace) => {
      const made = { ...trace };
      for (const axis of ['x', 'y']) {
        const power = powers[trace[`${axis}axis`] || axis];
        if (!power) continue;
        made[axis] = scaled(trace[axis], power);
        const error = trace[`error_${axis}`];
        if (error) made[`error_${axis}`] = { ...error, array: scaled(error.array, power) };
      }
      if (trace.customdata) {
        made.customdata = trace.customdata.map((row) =>
          row.map((value, place) => (typeof value === 'number' && told.includes(place) ? value * factor : value))
        );
      }
      if (trace.hovertemplate) {
        made.hovertemplate = words(trace.hovertemplate).replace(/:\.(\d)f/g, (_, n) => `:.${Number(n) + digits}f`);
      }
      return made;
    });
    const layout = { ...figure.layout };
    for (const [axis, power] of Object.entries(powers)) {
      const place = `${axis[0]}axis${axis.slice(1)}`;
      const before = layout[place];
      if (!before) continue;
      layout[place] = { ...before, title: { ...before.title, text: words(before.title.text) } };
      if (before.range) layout[place].range = scaled(before.range, power);
    }
    return { data, layout };
  }

  function sizes() {
    const small = narrow.matches;
    const size = small ? 11 : 13;
    return {
      'font.size': size,
      'xaxis2.title.font.size': small ? 9.5 : 14,
      'xaxis2.nticks': small ? 2 : 3,
      'xaxis2.tickangle': 0,
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
    const { name, factor, digits } = unit();
    const told = element('p', `${place}: mean ± sd, ${name}, branch by branch`);
    const number = (value) => (value * factor).toFixed(1 + digits);
    const table = element('table');
    for (const method of chosen('method')) {
      const values = readout.methods[method];
      if (!values) continue;
      const row = element('tr');
      row.append(element('th', values.sd && values.sd_of === 'members' ? `${method} (sd over the members only)` : method));
      values.mean[at].forEach((mean, branch) => {
        const sd = mean !== null && values.sd ? ` ± ${number(values.sd[at][branch])}` : '';
        row.append(element('td', `${mean === null ? '–' : number(mean)}${sd}`));
      });
      table.append(row);
    }
    document.getElementById('readout').replaceChildren(told, table);
    const line = { type: 'line', xref: 'x', yref: 'paper', y0: 0, y1: 1, line: { color: '#59626c', width: 1, dash: 'dot' } };
    Plotly.relayout('dispersion', { shapes: [{ ...line, x0: readout.distances[at], x1: readout.distances[at] }] });
  }

  // The crystal repeated about the origin: which atom it is, its place (Å), and where in the primitive cells (fractions).
  function placesOf({ cell, scaled, repeats }) {
    const counts = [...Array(repeats).keys()];
    const places = [];
    for (const a of counts) for (const b of counts) for (const c of counts) {
      scaled.forEach((fraction, atom) => {
        const at = [fraction[0] + a, fraction[1] + b, fraction[2] + c];
        places.push({ atom, at, place: [0, 1, 2].map((k) => at.reduce((sum, x, i) => sum + x * cell[i][k], 0)) });
      });
    }
    const middle = [0, 1, 2].map((k) => places.reduce((sum, { place }) => sum + place[k], 0) / places.length);
    return places.map((one) => ({ ...one, place: one.place.map((x, k) => x - middle[k]) }));
  }

  // Re[u·exp(i(2π q·x − time))] of one atom, u as real and imaginary parts.
  function displacement(u, q, at, time) {
    const phase = 2 * Math.PI * (q[0] * at[0] + q[1] * at[1] + q[2] * at[2]) - time;
    return [0, 1, 2].map((k) => u[k] * Math.cos(phase) - u[k + 3] * Math.sin(phase));
  }

  function animate(section, crystal) {
    const controls = section.querySelector('form');
    const canvas = section.querySelector('canvas');
    const brush = canvas.getContext('2d');
    const places = placesOf(crystal);
    const reach = Math.max(...places.map(({ place }) => Math.hypot(...place))) + 1.5;
    const view = { turn: 0.5, tilt: 0.35, time: 0, last: null };
    let playing = !matchMedia('(prefers-reduced-motion: reduce)').matches;

    const fill = (name, texts) => {
      const select = controls.elements[name];
      const before = select.value;
      select.replaceChildren(...texts.map((text, value) => Object.assign(element('option', text), { value })));
      if (before !== '' && before < texts.length) select.value = before;
    };
    const names = Object.keys(crystal.methods);
    const point = () => crystal.methods[names[controls.elements.method.value]][controls.elements.point.value];
    const choose = () => {
      fill('point', crystal.methods[names[controls.elements.method.value]].map(({ label }) => label));
      const { name, factor, digits } = unit();
      fill('mode', point().modes.map(({ frequency }, n) => `${n + 1}: ${(frequency * factor).toFixed(1 + digits)} ${name}`));
    };

    const seen = ([x, y, z]) => {
      const [ct, st, cv, sv] = [Math.cos(view.turn), Math.sin(view.turn), Math.cos(view.tilt), Math.sin(view.tilt)];
      const [across, deep] = [ct * x - st * y, st * x + ct * y];
      return [across, cv * z + sv * deep, cv * deep - sv * z];
    };
    const draw = () => {
      const { q, modes } = point();
      const { u } = modes[controls.elements.mode.value];
      const size = Number(controls.elements.amplitude.value);
      const scale = Math.min(canvas.width, canvas.height) / (2 * reach);
      brush.clearRect(0, 0, canvas.width, canvas.height);
      const atoms = places.map(({ atom, at, place }) => {
        const moved = displacement(u[atom], q, at, view.time);
        return { atom, to: seen(place.map((x, k) => x + size * moved[k])) };
      });
      atoms.sort((one, other) => other.to[2] - one.to[2]);
      for (const { atom, to } of atoms) {
        brush.beginPath();
        brush.arc(canvas.width / 2 + scale * to[0], canvas.height / 2 - scale * to[1], 0.45 * scale * crystal.radii[atom], 0, 2 * Math.PI);
        brush.fillStyle = crystal.colours[atom];
        brush.fill();
        brush.strokeStyle = '#1b1f24';
        brush.stroke();
      }
    };
    const step = (now) => {
      if (view.last !== null) view.time += (now - view.last) / 250;
      view.last = now;
      draw();
      if (playing) requestAnimationFrame(step);
    };
    const play = () => {
      controls.elements.play.textContent = playing ? 'Pause' : 'Play';
      view.last = null;
      if (playing) requestAnimationFrame(step);
      else draw();
    };
    const turn = (across, up) => {
      view.turn += across;
      view.tilt = Math.max(-1.5, Math.min(1.5, view.tilt + up));
      if (!playing) draw();
    };

    fill('method', names);
    controls.elements.method.value = names.length - 1;
    choose();
    controls.elements.mode.value = point().modes.length - 1;
    controls.addEventListener('input', () => {
      choose();
      if (!playing) draw();
    });
    controls.addEventListener('submit', (event) => event.preventDefault());
    controls.elements.play.addEventListener('click', () => {
      playing = !playing;
      play();
    });
    canvas.tabIndex = 0;
    canvas.addEventListener('pointerdown', (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener('pointermove', (event) => {
      if (event.buttons) turn(0.01 * event.movementX, 0.01 * event.movementY);
    });
    canvas.addEventListener('keydown', (event) => {
      const steps = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
      if (!steps[event.key]) return;
      event.preventDefault();
      turn(...steps[event.key]);
    });
    form.addEventListener('change', choose);
    play();
  }

  const figures = plots.map((plot) => JSON.parse(document.getElementById(`${plot.id}-data`).textContent));
  const drawAll = () => Promise.all(plots.map((plot, number) => {
    const figure = inUnit(figures[number], unit());
    const config = {
      responsive: true,
      displaylogo: false,
      displayModeBar: touch.matches ? false : 'hover',
      // Named one by one: by default there is one that sends the figure elsewhere.
      modeBarButtons: [['toImage', 'zoom2d', 'pan2d', 'zoomIn2d', 'zoomOut2d', 'resetScale2d']],
      plotlyServerURL: '',
    };
    return Plotly.newPlot(plot, figure.data, figure.layout, config).then(() => Plotly.relayout(plot, sizes()));
  }));
  drawAll().then(() => {
    show();
    form.addEventListener('change', (event) => (event.target.name === 'unit' ? drawAll().then(show) : show()));
    form.addEventListener('submit', (event) => event.preventDefault());
    narrow.addEventListener('change', () => plots.forEach((plot) => Plotly.relayout(plot, sizes())));
    if (slider) slider.addEventListener('input', read);
    const motion = document.getElementById('motion');
    if (motion) animate(motion, JSON.parse(document.getElementById('motion-data').textContent));
    document.documentElement.dataset.ready = 'yes';
  });
})();

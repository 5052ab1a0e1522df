// States over time. Grafana's own state timeline is no part of @grafana/ui: this stands in for it. The words and the
// colours come from the board, through Grafana's own display processors.

/** One band for each series, with its word in it. */
export function Bands({ panel, frames, from, to, theme }) {
  const spanMs = Number(panel.fieldConfig.defaults.custom?.spanNulls ?? 0);
  const nothing = theme.visualization.getColorByName("transparent");
  const rows = frames.map((frame) => ({ name: frame.fields[1].state.displayName, pieces: pieces(frame, to, spanMs).filter(({ color }) => color !== nothing) }));
  const place = (at) => `${(100 * (Math.max(at, from) - from)) / (to - from)}%`;
  return (
    <div className="bands">
      {rows.map(({ name, pieces }) => (
        <div className="band" key={name}>
          <span className="band-name">{name}</span>
          <span className="band-track" style={{ background: theme.colors.background.canvas }}>
            {pieces.map(({ since, until, text, color }) => (
              <span className="piece" key={since}
                style={{ left: place(since), right: `calc(100% - ${place(until)})`, background: color, color: theme.colors.getContrastText(color) }}>
                {text}
              </span>
            ))}
          </span>
        </div>
      ))}
    </div>
  );
}

// A state lasts until another is told; a silence of more than `spanMs` ends it.
function pieces(frame, to, spanMs) {
  const [times, states] = frame.fields;
  const told = times.values.map((at, index) => ({ at, value: states.values[index] })).filter(({ value }) => value !== null);
  const found = [];
  told.forEach(({ at, value }, index) => {
    const next = told[index + 1]?.at ?? to;
    const until = spanMs && next - at > spanMs ? at : next;
    const last = found[found.length - 1];
    if (last?.value === value && last.until === at) last.until = until;
    else found.push({ value, since: at, until, ...states.display(value) });
  });
  return found;
}

// Marks of a patient's board in its charts. Grafana draws them in its application, not in @grafana/ui: this is a
// drawing of ours that shows the same times, with the mark's name above it.

const ALPHA = "2e"; // a stretch lets the course through

/** `[{name, color, from, to}]` of what the database answered; `to` is missing for a moment. */
export function marksOf(board, answers, theme) {
  return (board.annotations?.list ?? []).flatMap((mark) =>
    (answers[mark.name] ?? []).flatMap(({ columns, values }) => {
      const [end, text] = [mark.target.timeEndColumn, mark.target.textColumn].map((name) => columns.indexOf(name));
      const color = theme.visualization.getColorByName(mark.iconColor);
      return values.map((row) => ({ name: `${mark.name}: ${row[text]}`, color, from: row[0], to: end < 0 ? null : row[end] }));
    }),
  );
}

/** Lets uPlot draw `marks` behind the course. */
export function drawing(marks) {
  return (u) => {
    const { ctx } = u;
    const { top, height } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, top, u.bbox.width, height);
    ctx.clip();
    for (const { color, from, to } of marks) {
      const left = u.valToPos(from, "x", true);
      ctx.fillStyle = color + ALPHA;
      if (to !== null) ctx.fillRect(left, top, Math.max(2, u.valToPos(to, "x", true) - left), height);
      ctx.strokeStyle = color;
      ctx.setLineDash([4, 4]);
      for (const at of to === null ? [from] : [from, to]) {
        const x = u.valToPos(at, "x", true);
        ctx.beginPath();
        ctx.moveTo(x, top);
        ctx.lineTo(x, top + height);
        ctx.stroke();
      }
    }
    ctx.restore();
  };
}

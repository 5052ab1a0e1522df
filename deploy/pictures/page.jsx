// A board as a page: the board's JSON and what the database answered stand beside it in `answers.json`.

import { createRoot } from "react-dom/client";
import { ThemeContext, createTheme } from "@grafana/data";
import { GlobalStyles, PortalContainer } from "@grafana/ui";
import { framesOf } from "./frames";
import { marksOf } from "./marks";
import { Panel } from "./panels";

const COLUMNS = 24, CELL_PX = 38, GAP_PX = 8, PHONE_PX = 768; // Grafana's grid: 30 px and a gap; below, one column

async function main() {
  const name = new URLSearchParams(location.search).get("board");
  const { board, answers, from, to, chosen } = (await (await fetch("answers.json")).json())[name];
  const theme = createTheme({ colors: { mode: "dark" } });
  const marks = marksOf(board, answers.mark ?? {}, theme);
  const panels = [];
  for (const panel of board.panels) panels.push({ panel, frames: await framesOf(panel, answers[panel.title] ?? {}, theme) });
  const width = document.documentElement.clientWidth;
  const isPhone = width < PHONE_PX;
  const place = ({ gridPos: { x, y, w, h } }) => {
    const cell = (width - GAP_PX) / COLUMNS;
    const size = { width: (isPhone ? width - GAP_PX : w * cell) - GAP_PX, height: h * CELL_PX - GAP_PX };
    return { size, style: isPhone ? { margin: GAP_PX } : { position: "absolute", left: x * cell + GAP_PX, top: y * CELL_PX } };
  };
  const tall = Math.max(...board.panels.map(({ gridPos }) => (gridPos.y + gridPos.h) * CELL_PX));
  createRoot(document.getElementById("page")).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <header><b>{board.title}</b>{chosen.map((each) => <span key={each}>{each}</span>)}</header>
      <main style={isPhone ? {} : { position: "relative", height: tall }}>
        {panels.map(({ panel, frames }) => {
          const { size, style } = place(panel);
          return (
            <div key={panel.id} style={style}>
              <Panel {...{ panel, frames, from, to, theme, ...size }} marks={marks} />
            </div>
          );
        })}
      </main>
      <PortalContainer />
    </ThemeContext.Provider>,
  );
  document.title = "drawn";
}

main().catch((error) => { document.title = `failed: ${error}`; throw error; });

const recorded = JSON.parse(document.getElementById("recorded").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const step = document.getElementById("step"), play = document.getElementById("play");
const MOVE = 350, PAUSE = 700; // milliseconds
let playing = 0;

/** Return a function that shows what the sliders ask of a panel. */
async function panel(article) {
  const { specs, meta_steps, frames, filters, accuracies } = recorded.panels[article.dataset.panel];
  const theta = article.parentElement.querySelector(".theta"), steps = frames / (meta_steps.length || 1);
  const [places, curves] = await Promise.all(["places", "curves"].map(async (name) => {
    const options = { actions: false, renderer: "canvas" };
    return (await vegaEmbed(article.querySelector(`.${name}`), specs[name], options)).view;
  }));
  let shown = frames - 1, moving = 0;
  theta?.addEventListener("input", show);
  return () => {
    const frame = Number(theta?.value ?? 0) * steps + Math.min(Number(step.value), steps - 1);
    if (theta) tell(theta, meta_steps);
    accuracies.forEach((of_shots, row) => {
      article.querySelector(`[data-shots="${row}"]`).textContent = `${(100 * of_shots[frame]).toFixed(0)}%`;
    });
    if (filters.length) article.querySelector(".filters").src = filters[frame];
    if (frame === shown) return;
    curves.signal("after", frame).run();
    places.signal("before", shown).signal("after", frame);
    shown = frame;
    cancelAnimationFrame(moving);
    const begin = performance.now();
    const move = (now) => {
      const share = still.matches ? 1 : Math.min(1, Math.max(0, (now - begin) / MOVE));
      places.signal("moved", share * (2 - share)).run();
      if (share < 1) moving = requestAnimationFrame(move);
    };
    move(begin);
  };
}

/** Write the number that a slider stands for beside it, and into what is read aloud. */
function tell(slider, numbers) {
  const text = numbers[Number(slider.value)].toLocaleString("en");
  slider.setAttribute("aria-valuetext", text);
  slider.parentElement.querySelector("output").textContent = text;
}

function show() {
  tell(step, recorded.steps);
  panels.forEach((update) => update());
}

function stop() {
  clearInterval(playing);
  playing = 0;
  play.textContent = "Play";
}

const panels = await Promise.all([...document.querySelectorAll("[data-panel]")].map(panel));
play.addEventListener("click", () => {
  if (playing) return stop();
  if (step.value === step.max) step.value = 0;
  show();
  play.textContent = "Pause";
  playing = setInterval(() => {
    step.value = Number(step.value) + 1;
    show();
    if (step.value === step.max) stop();
  }, PAUSE);
});
step.addEventListener("input", () => (stop(), show()));
show();
document.body.dataset.ready = "yes";

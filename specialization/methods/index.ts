/** The methods of the paper, each a function of the same shape; the code of each reads like its paragraph there. */
import type { Method } from "../planner/index.js";
import { llm } from "./llm.js";
import { llmLora } from "./llm-lora.js";
import type { MethodFunction } from "./method.js";
import { slm } from "./slm.js";
import { slmD } from "./slm-d.js";
import { slmIs } from "./slm-is.js";
import { slmMix } from "./slm-mix.js";
import { slmNopt } from "./slm-nopt.js";
import { slmPn } from "./slm-pn.js";

export { checkTarget } from "./check-target.js";
export { type Settings, type Specialised, settingsOf, type Target } from "./method.js";
export type { Model } from "./model.js";
export { mostSteps } from "./recipe.js";
export { mixedDomains, smoothingRule } from "./slm-is.js";
export { TOKENIZER, Workshop } from "./workshop.js";

export const METHOD_FUNCTIONS: Readonly<Record<Method, MethodFunction>> = {
  slm,
  "slm-nopt": slmNopt,
  "slm-is": slmIs,
  "slm-pn": slmPn,
  "slm-mix": slmMix,
  "slm-d": slmD,
  llm,
  "llm-lora": llmLora,
};

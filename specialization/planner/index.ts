/** The planner: cost lines, break-even points, memory and disk, and a recommendation, before anything runs. */
export {
  addDomainFigures,
  type ClusterFigures,
  type DomainReport,
  findingOf,
  readClusterFigures,
  reportDomains,
} from "./cluster-figures.js";
export {
  type BreakEven,
  breakEven,
  type CostLine,
  type CostUnit,
  costLine,
  totalCost,
} from "./cost-lines.js";
export { PlanError } from "./errors.js";
export { fineTuningTokens } from "./fine-tuning.js";
export { type Footprint, footprintOf } from "./footprint.js";
export { networksOf } from "./networks.js";
export * from "./paper-figures.js";
export { paperRequest } from "./paper-plan.js";
export {
  findBreakEven,
  type MethodPlan,
  makePlan,
  type Plan,
  type PlanRequest,
  pretrainingInPaperProportions,
  TOKENS_PER_PARAMETER,
} from "./plan.js";
export {
  type Cost,
  type HoursPerBillionTokens,
  type NetworkFigures,
  type Networks,
  PROJECTED_SLOWDOWN,
  priceOf,
  type Speed,
} from "./price.js";
export { type Budget, formatQuantity, parseAmount, parseBudget } from "./quantity.js";
export { type DomainFinding, type Recommendation, recommend, type Situation } from "./recommendation.js";
export {
  METHODS,
  type Method,
  methodWork,
  type PretrainingTokens,
  type Work,
  type WorkFigures,
} from "./work.js";

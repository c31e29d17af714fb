/** Whole numbers as options of commands. */
import { InvalidArgumentError } from "commander";

/** Reads a whole number that is not below another. @returns a parser for commander, which names the option itself */
export function wholeNumber(least: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (value.trim() === "" || !Number.isSafeInteger(number) || number < least)
      throw new InvalidArgumentError(`A whole number, ${least} or more.`);
    return number;
  };
}

// Turns. Changes that wait for each other, so that each sees what the one before it left.

/** Runs `change` after all earlier ones have settled, and gives its result. A failed one does not stop the next. */
export type InTurn = <T>(change: () => Promise<T>) => Promise<T>

export function createTurns(): InTurn {
  let last: Promise<unknown> = Promise.resolve()
  return (change) => {
    const turn = last.then(change)
    last = turn.catch(() => {}) // the caller has it
    return turn
  }
}

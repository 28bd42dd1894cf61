/** SQL that is true while something is still to be sent to the target: `target` is SQL too. */
export function undoneCondition(target: string): string {
  return `exists (select from ripstop.deliveries undone where undone.target_id = ${target})`
}

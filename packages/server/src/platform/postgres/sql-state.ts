/** The SQLSTATE of an error that the server gave about a statement; undefined for any other error. */
export function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('severity' in error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** The name of the constraint (unique key, foreign key, check) that a statement violated, if that is what the error is. */
export function violatedConstraint(error: unknown): string | undefined {
  const isViolation = sqlStateOf(error)?.startsWith('23') === true
  return isViolation && error instanceof Error && 'constraint' in error ? String(error.constraint) : undefined
}

/** Wall time: the home of the clock in this package, which stands alone. */
export function wallMs(): number {
  return Date.now()
}

// Inbox. What makes an effect happen once although a webhook comes at least once: the id of each webhook that was applied,
// kept together with the effect.

import type { Receipt } from './receipt.ts'

export interface Inbox<Tx> {
  /**
   * Runs `effect` unless it was run for this id before, and keeps the id with it: both or neither. A second call that comes
   * while the first is under way waits for it. Rejects with what `effect` rejects with; then nothing is kept.
   */
  readonly once: (id: string, effect: (tx: Tx) => Promise<void>) => Promise<Receipt>
}

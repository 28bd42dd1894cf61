// The hub: a channel for each session that somebody in this process watches. What channels have to tell goes out once per turn of the event
// loop, after all that the turn brought in.

import type { SessionRef } from '#session-stores'
import { Channel, type ChannelDeps } from './channel.ts'
import type { Peer } from './peer.ts'

export class Hub {
  readonly #deps: ChannelDeps
  readonly #channels = new Map<string, Channel>()
  #news: Channel[] = []

  constructor(deps: Omit<ChannelDeps, 'onNews' | 'onEnd'>) {
    this.#deps = {
      ...deps,
      onNews: (channel) => {
        this.#news.push(channel)
        if (this.#news.length === 1) setImmediate(() => this.#flush())
      },
      onEnd: ({ ref }) => this.#channels.delete(keyOf(ref)),
    }
  }

  open(ref: SessionRef): Channel {
    const key = keyOf(ref)
    let channel = this.#channels.get(key)
    if (channel === undefined) {
      channel = new Channel(this.#deps, ref)
      this.#channels.set(key, channel)
    }
    return channel
  }

  list(): readonly Peer[] {
    return [...this.#channels.values()].flatMap((channel) => channel.list())
  }

  /** Watches nothing any more; its sockets have been ended before. */
  close(): void {
    for (const channel of [...this.#channels.values()]) channel.end()
  }

  #flush(): void {
    const news = this.#news
    this.#news = []
    for (const channel of news) channel.flush()
  }
}

function keyOf({ tenantId, sessionId }: SessionRef): string {
  return `${tenantId} ${sessionId}`
}

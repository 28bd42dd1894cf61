// A contestant in a process of its own: node peer-process.ts NAME DATABASE RECEIVER.

import { answer } from '../ipc.ts'
import { createPost } from './job.ts'
import { PEERS, type PeerName } from './peers.ts'

const [name = '', database = '', receiver = ''] = process.argv.slice(2)
const peer = PEERS[name as PeerName](database, createPost(receiver))

answer({
  prepare: () => peer.prepare(),
  load: ({ from, count }: { readonly from: number; readonly count: number }) => peer.load(from, count),
  start: () => peer.start(),
  undone: () => peer.undone(),
  stop: () => peer.stop(),
})

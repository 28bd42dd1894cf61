export { SOCKET_SETTINGS, type SocketSettings } from './settings.ts'
export { type SessionSockets, type SessionSocketsDeps, startSessionSockets } from './start.ts'

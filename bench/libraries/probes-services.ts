// Clients of other people's services, each pointed at a far end on loopback.

import { full, refusing, silent } from './far-ends.ts'
import { came, type Load, of, type Probe, read, SOON_MS } from './probe.ts'

const MESSAGE = { model: 'a', max_tokens: 5, messages: [{ role: 'user', content: 'a' }] }
const openai = ({ OpenAI }: Load, url: string, more: object = {}) =>
  new OpenAI({ apiKey: 'a', baseURL: url, ...more }).chat.completions.create(MESSAGE)
const anthropic = ({ Anthropic }: Load, url: string, more: object = {}) =>
  new Anthropic({ apiKey: 'a', baseURL: url, ...more }).messages.create(MESSAGE)
const stripe = ({ default: Stripe }: Load, url: string, more: object = {}) => {
  const { hostname, port } = new URL(url)
  return new Stripe('sk_a', { host: hostname, port, protocol: 'http', ...more }).customers.list()
}
const bucket = ({ S3 }: Load, url: string, more: object = {}) =>
  new S3({ endpoint: url, region: 'a', credentials: { accessKeyId: 'a', secretAccessKey: 'a' }, ...more }).listBuckets(
    {},
  )
const supabase = ({ createClient }: Load, url: string) => createClient(url, 'a').from('a').select()
const nest = async ({ HttpService }: Load, url: string, more: object = {}) => {
  const { firstValueFrom } = await import('rxjs')
  return firstValueFrom(new HttpService().get(url, more))
}
const mail = ({ createTransport }: Load, port: number, more: object = {}) =>
  createTransport({ host: '127.0.0.1', port, ...more }).sendMail({ from: 'a@b.c', to: 'a@b.c', text: 'a' })
const sendgrid = ({ default: grid }: Load, url: string) => {
  const { MailService } = grid.constructor === Object ? grid : { MailService: grid.constructor }
  const service = new MailService()
  service.setApiKey('SG.a')
  service.client.setDefaultRequest('baseUrl', url)
  return service.send({ from: 'a@b.c', to: 'a@b.c', subject: 'a', text: 'a' })
}
const twilio = ({ default: make }: Load, url: string, more: object = {}) => {
  const client = make('ACa', 'a', more)
  return client.httpClient.request({ method: 'get', uri: url, ...more })
}
const slack = ({ WebClient }: Load, url: string, more: object = {}) =>
  new WebClient('a', { slackApiUrl: url, ...more }).chat.postMessage({ channel: 'a', text: 'a' })
const octokit = ({ Octokit }: Load, url: string, more: object = {}) =>
  new Octokit({ baseUrl: url.slice(0, -1) }).request('GET /a', more)
const elastic = ({ Client }: Load, url: string, more: object = {}) => new Client({ node: url, ...more }).search({})
const signal = () => ({ request: { signal: AbortSignal.timeout(SOON_MS) } })

export const PROBES_OF_SERVICES: readonly Probe[] = [
  ...of('openai', 'openai', {
    answer: async (m) => openai(m, (await silent()).url),
    default: read(({ OpenAI }) => new OpenAI({ apiKey: 'a' }).timeout),
    refusal: async (m) => openai(m, (await refusing(400)).url),
    option: async (m) => openai(m, (await silent()).url, { timeout: SOON_MS, maxRetries: 0 }),
    retries: read(({ OpenAI }) => new OpenAI({ apiKey: 'a' }).maxRetries),
  }),
  ...of('openai', '@anthropic-ai/sdk', {
    answer: async (m) => anthropic(m, (await silent()).url),
    default: read(({ Anthropic }) => new Anthropic({ apiKey: 'a' }).timeout),
    refusal: async (m) => anthropic(m, (await refusing(400)).url),
    option: async (m) => anthropic(m, (await silent()).url, { timeout: SOON_MS, maxRetries: 0 }),
    retries: read(({ Anthropic }) => new Anthropic({ apiKey: 'a' }).maxRetries),
  }),
  ...of('stripe', 'stripe', {
    answer: async (m) => stripe(m, (await silent()).url),
    default: read(({ default: Stripe }) => new Stripe('sk_a').getApiField('timeout')),
    refusal: async (m) => stripe(m, (await refusing(400)).url),
    option: async (m) => stripe(m, (await silent()).url, { timeout: SOON_MS, maxNetworkRetries: 0 }),
    retries: async (m) => came(await refusing(500), (url) => stripe(m, url)),
  }),
  ...of('@aws-sdk/client-*', '@aws-sdk/client-s3', {
    connect: async (m) => bucket(m, `http://127.0.0.1:${await full()}`),
    answer: async (m) => bucket(m, (await silent()).url),
    refusal: async (m) => bucket(m, (await refusing(400)).url),
    option: async (m) =>
      bucket(m, (await silent()).url, {
        maxAttempts: 1,
        requestHandler: { requestTimeout: SOON_MS, throwOnRequestTimeout: true },
      }),
    late: async (m) => bucket(m, (await silent()).url, { maxAttempts: 1, requestHandler: { requestTimeout: SOON_MS } }),
    retries: async (m) => came(await refusing(500), (url) => bucket(m, url)),
  }),
  ...of('@supabase/supabase-js', '@supabase/supabase-js', {
    answer: async (m) => supabase(m, (await silent()).url),
    refusal: async (m) => supabase(m, (await refusing(500)).url),
    option: async (m) => {
      const { error } = await supabase(m, (await silent()).url).abortSignal(AbortSignal.timeout(SOON_MS))
      throw error
    },
    retries: async (m) => came(await refusing(500), (url) => supabase(m, url)),
  }),
  ...of('@nestjs/axios', '@nestjs/axios', {
    answer: async (m) => nest(m, (await silent()).url),
    refusal: async (m) => nest(m, (await refusing(500)).url),
    option: async (m) => nest(m, (await silent()).url, { timeout: SOON_MS }),
  }),
  ...of('nodemailer', 'nodemailer', {
    connect: async (m) => mail(m, await full()),
    greeting: async (m) => mail(m, (await silent()).port),
    answer: async (m) => mail(m, (await silent(() => undefined, Buffer.from('220 a\r\n'))).port),
    option: async (m) => mail(m, (await silent()).port, { greetingTimeout: SOON_MS }),
  }),
  ...of('@sendgrid/mail', '@sendgrid/mail', {
    answer: async (m) => sendgrid(m, (await silent()).url),
    refusal: async (m) => sendgrid(m, (await refusing(500)).url),
  }),
  ...of('twilio', 'twilio', {
    answer: async (m) => twilio(m, (await silent()).url),
    default: read(({ default: make }) => make('ACa', 'a').httpClient.defaultTimeout),
    option: async (m) => twilio(m, (await silent()).url, { timeout: SOON_MS }),
  }),
  ...of('@slack/web-api', '@slack/web-api', {
    answer: async (m) => slack(m, (await silent()).url),
    option: async (m) => slack(m, (await silent()).url, { timeout: SOON_MS, retryConfig: { retries: 0 } }),
    refusal: async (m) => slack(m, (await refusing(500)).url, { retryConfig: { retries: 0 } }),
  }),
  ...of('octokit', '@octokit/rest', {
    answer: async (m) => octokit(m, (await silent()).url),
    refusal: async (m) => octokit(m, (await refusing(500)).url),
    option: async (m) => octokit(m, (await silent()).url, signal()),
    retries: async (m) => came(await refusing(500), (url) => octokit(m, url)),
  }),
  ...of('@elastic/elasticsearch', '@elastic/elasticsearch', {
    answer: async (m) => elastic(m, (await silent()).url),
    refusal: async (m) => elastic(m, (await refusing(400)).url),
    option: async (m) => elastic(m, (await silent()).url, { requestTimeout: SOON_MS, maxRetries: 0 }),
    retries: async (m) => came(await refusing(502), (url) => elastic(m, url)),
  }),
  ...of('resend', 'resend', {
    refusal: async ({ Resend }) => {
      process.env.RESEND_BASE_URL = (await refusing(500)).url.slice(0, -1)
      return new Resend('a').emails.send({ from: 'a@b.c', to: 'a@b.c', subject: 'a', text: 'a' })
    },
  }),
]

// Clients of other people's services in JavaScript: mail, payments, messages, and what is asked by GraphQL.

import { each, type Library, VERBS, words } from './library.ts'

const base = {
  language: 'javascript',
  kind: 'http',
  refusal: 'throws',
  retries: 0,
  calls: [],
  makes: [],
  methods: [],
} as const
/** What the fetch of Node gives them. */
const OF_FETCH_MS = 300_000

export const JAVASCRIPT_SERVICES: readonly Library[] = [
  {
    ...base,
    name: 'graphql-request',
    versions: '5 to 7',
    connect: { ms: 10_000, options: words('signal fetch') },
    answer: { ms: OF_FETCH_MS, options: words('signal fetch timeout') },
    calls: each('graphql-request', 'request rawRequest'),
    makes: words('graphql-request.GraphQLClient'),
    methods: words('request rawRequest batchRequests'),
    sources: ['https://github.com/graffle-js/graffle/tree/graphql-request'],
  },
  {
    ...base,
    name: 'ofetch',
    versions: '1',
    connect: { ms: 10_000, options: words('timeout signal') },
    answer: { ms: OF_FETCH_MS, options: words('timeout signal') },
    retries: 1,
    calls: each('ofetch', 'ofetch $fetch'),
    makes: words('ofetch.ofetch.create ofetch.$fetch.create'),
    sources: ['https://github.com/unjs/ofetch#%EF%B8%8F-timeout'],
  },
  {
    ...base,
    name: 'needle',
    versions: '2 and 3',
    connect: { ms: 10_000, options: words('open_timeout timeout') },
    answer: { ms: undefined, options: words('response_timeout read_timeout signal') },
    refusal: 'answers',
    calls: ['needle', ...each('needle', VERBS)],
    sources: ['https://github.com/tomas/needle#request-options'],
  },
  {
    ...base,
    name: '@sendgrid/mail',
    versions: '7 and 8',
    connect: { ms: undefined, options: ['timeout'] },
    // Set for all: `setTimeout(ms)`.
    answer: { ms: undefined, options: ['timeout'] },
    calls: each('@sendgrid/mail', 'send sendMultiple'),
    makes: words('@sendgrid/mail.MailService'),
    methods: words('send sendMultiple'),
    sources: ['https://github.com/sendgrid/sendgrid-nodejs/blob/main/packages/client/USAGE.md'],
  },
  {
    ...base,
    name: '@slack/web-api',
    versions: '6 to 8',
    connect: { ms: undefined, options: ['timeout'] },
    answer: { ms: undefined, options: ['timeout'] },
    retries: 10,
    makes: words('@slack/web-api.WebClient'),
    methods: words(
      'apiCall chat.postMessage chat.postEphemeral chat.update chat.delete conversations.list conversations.history conversations.open users.info users.list users.lookupByEmail files.uploadV2 reactions.add views.open views.publish auth.test',
    ),
    sources: ['https://docs.slack.dev/tools/node-slack-sdk/web-api/'],
  },
  {
    ...base,
    name: 'octokit',
    versions: '18 to 22',
    connect: { ms: 10_000, options: words('request fetch signal') },
    answer: { ms: OF_FETCH_MS, options: words('request fetch signal') },
    makes: words('@octokit/rest.Octokit @octokit/core.Octokit octokit.Octokit'),
    methods: words('request graphql paginate'),
    sources: ['https://github.com/octokit/rest.js#readme'],
  },
  {
    ...base,
    name: 'stripe',
    versions: '8 to 23',
    connect: { ms: 80_000, options: words('timeout httpClient') },
    answer: { ms: 80_000, options: words('timeout httpClient') },
    // None before 13, one with it, two with 23.
    retries: 2,
    makes: words('stripe stripe.Stripe'),
    methods: words(
      'charges.create customers.create customers.retrieve customers.update paymentIntents.create paymentIntents.confirm paymentIntents.retrieve paymentIntents.capture refunds.create subscriptions.create subscriptions.update subscriptions.cancel checkout.sessions.create checkout.sessions.retrieve invoices.create transfers.create payouts.create',
    ),
    sources: ['https://github.com/stripe/stripe-node#configuration'],
  },
  {
    ...base,
    name: 'twilio',
    versions: '3 to 6',
    connect: { ms: 30_000, options: ['timeout', 'httpClient'] },
    answer: { ms: 30_000, options: ['timeout', 'httpClient'] },
    makes: words('twilio twilio.Twilio'),
    methods: words('messages.create calls.create'),
    sources: ['https://github.com/twilio/twilio-node#readme'],
  },
  {
    ...base,
    name: 'nodemailer',
    kind: 'other',
    versions: '6 to 10',
    connect: { ms: 120_000, options: ['connectionTimeout'] },
    // 30 s for the greeting; then ten minutes for each silence.
    answer: { ms: 600_000, options: ['socketTimeout'] },
    makes: words('nodemailer.createTransport'),
    methods: words('sendMail verify'),
    sources: ['https://nodemailer.com/smtp#connection-options'],
  },
]

// Sources that nobody runs for others: what shows, tries, fills or develops. Rules of security are silent there.

const ASIDE =
  /(^|[/._-])(seeds?|seeders?|mocks?|fixtures?|demos?|examples?|samples?|stories|i18n|locales?|translations?|scripts?|tools?|bin|cli|dev|dev_launcher|debug|playground|sandbox|factories|benchmarks?|e2e|tests?|testing|migrations?)([/._-]|$)/i

export function isAside(file: string): boolean {
  return ASIDE.test(file)
}

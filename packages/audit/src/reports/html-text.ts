// Text in HTML.
//   RE13. Whatever a text holds, it is text: in elements and in quoted attributes. Marks that turn the direction of writing are shown as their codes.

/** Anywhere. */
export function escapeHtml(text: string): string {
  return escapeText(text).replace(/["'`]/g, (char) => `&#${char.charCodeAt(0)};`)
}

/** In elements alone, where quotes are letters: of a thousand recipes they would be a tenth of the page. */
export function escapeText(text: string): string {
  return text
    .replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`)
    .replace(
      /[\u202A-\u202E\u2066-\u2069\u200E\u200F]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).toUpperCase()}`,
    )
}

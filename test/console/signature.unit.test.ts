import { expect, test } from 'vitest'
import { signatureOf } from '../../src/domain/cause.ts'
import { briefSignature, signatureShown } from '../../src/http/console/pages/signature.ts'

test('only what was taken out of an error is marked in its signature: other words in angle brackets are shown', () => {
  const signature = signatureOf('<script>hit(3)</script> for <value> of <b>ada@example.com</b>')
  expect(signature).toBe('<script>hit(<n>)</script> for <value> of <b><address></b>')
  expect(briefSignature(signature)).toBe('<script>hit(…)</script> for … of <b>…</b>')
  expect(
    signatureShown(signature)
      .toString()
      .replaceAll(/<\/?bdi>/g, ''),
  ).toBe(
    '&lt;script&gt;hit(<span class="gone">n</span>)&lt;&#x2F;script&gt; for <span class="gone">value</span> of &lt;b&gt;<span class="gone">address</span>&lt;&#x2F;b&gt;',
  )
})

// What a child process prints, until it ends, or until nobody wants to wait any longer: a process that the child has left
// behind may hold its pipes open for as long as it lives.

/** Text of `stream` up to its end or to the abort of `stop`; `each` gets the bytes as they come. */
export async function readText(
  stream: ReadableStream<Uint8Array>,
  stop: AbortSignal,
  each: (chunk: Uint8Array) => Promise<unknown> | void = () => {},
): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const cancel = () => void reader.cancel();
  stop.addEventListener("abort", cancel);
  if (stop.aborted) cancel();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return text + decoder.decode();
      text += decoder.decode(value, { stream: true });
      await each(value);
    }
  } finally {
    stop.removeEventListener("abort", cancel);
  }
}

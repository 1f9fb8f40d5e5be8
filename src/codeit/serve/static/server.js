// Requests to the server.

// Send a request, an object or a file, and return the answer. Throws an error with the server's message.
export async function post(path, body, {signal} = {}) {
  return await answer(
    fetch(path, {
      method: "POST",
      headers: {"content-type": "application/json"},
      body: typeof body === "string" || body instanceof Blob ? body : JSON.stringify(body),
      signal,
    }),
  );
}

export const get = path => answer(fetch(path));

async function answer(fetching) {
  const response = await reached(fetching),
    data = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(data.error || `the server answered ${response.status}`);
  return data;
}

async function reached(fetching) {
  try {
    return await fetching;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer; is codeit serve still running?");
  }
}

// Yield the events of a search. It ends on the server when `signal` is aborted or the page is closed.
export async function* events(path, body, signal) {
  const request = {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body), signal};
  const response = await reached(fetch(path, request));
  if (!response.ok) {
    const data = await response.json().catch(() => ({}));
    throw new Error(data.error || `the server answered ${response.status}`);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) if (block.startsWith("data: ")) yield JSON.parse(block.slice(6));
  }
}

// Talks to all four services by the variables that `taskava dev test` sets, with nothing but the standard library.
const assert = require("node:assert");
const net = require("node:net");

const env = process.env;

function exchange(host, port, message, until) {
  return new Promise((resolve, reject) => {
    let answer = "";
    const stream = net.connect(Number(port), host, () => stream.write(message));
    stream.setTimeout(10000, () => reject(new Error(`no ${until} in ${answer}`)));
    stream.on("error", reject);
    stream.on("data", (data) => {
      answer += data.toString("latin1");
      if (answer.includes(until)) {
        stream.destroy();
        resolve(answer);
      }
    });
  });
}

function postgres() {
  const parameters = Buffer.from(`user\0${env.PGUSER}\0database\0${env.PGDATABASE}\0\0`);
  const startup = Buffer.alloc(8);
  startup.writeInt32BE(8 + parameters.length, 0);
  startup.writeInt32BE(196608, 4);
  const text = Buffer.from("SELECT 'from-' || 'node'\0");
  const query = Buffer.alloc(5);
  query.write("Q");
  query.writeInt32BE(4 + text.length, 1);
  return Buffer.concat([startup, parameters, query, text]);
}

async function get(url) {
  return (await fetch(url)).text();
}

async function main() {
  await exchange(env.PGHOST, env.PGPORT, postgres(), "from-node");
  await exchange(env.REDIS_HOST, env.REDIS_PORT, "PING\r\n", "+PONG\r\n");
  assert.match(await get(`${env.AWS_ENDPOINT_URL}/_localstack/health`), /"s3"/);
  await exchange(env.SMTP_HOST, env.SMTP_PORT, "", "220 ");
  assert.match(await get(`${env.MAIL_URL}/api/v2/messages`), /"total"/);
  console.log("all four answered");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

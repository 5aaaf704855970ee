<?php

/**
 * The daemon behind its socket. Every call has one connection and one deadline over connecting, sending, waiting and a
 * second try when the daemon is busy. Whatever goes wrong is Refused or Unreachable, never a match.
 */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

use FaceWeb\Config;

final class SocketFaceServer implements FaceServer
{
    /** PROTOCOL.md: try again after a second or later; a queue of logins moves on in half of one. */
    private const BUSY_PAUSE_S = 0.5;

    /** The daemon answers a ping at once, also when others wait: whoever watches is told so soon that it hangs. */
    private const PING_S = 2.0;

    /** Ten enrolled images, or a thousand faces, have less than 300 kB. */
    private const MAX_REPLY_BYTES = 1 << 20;

    private int $asked = 0;

    /**
     * @param string|TokenFile|null $token null where a Unix socket's mode is the guard
     * @param Tls|null $tls null where it is not spoken: on a Unix socket and on loopback
     * @param string $requestId under which the daemon logs what is asked; '' for none
     */
    public function __construct(
        private readonly string $host,
        private readonly int $port,
        private readonly ?string $unixSocket,
        #[\SensitiveParameter] private readonly string|TokenFile|null $token,
        private readonly float $timeoutS,
        private readonly int $maxReplyBytes = self::MAX_REPLY_BYTES,
        private readonly ?Tls $tls = null,
        private readonly string $requestId = '',
    ) {
    }

    /** As the site asks: with the web token; on a Unix socket without one. */
    public static function forSite(Config $config, string $requestId = ''): self
    {
        $token = $config->server->unixSocket === null ? new TokenFile($config->access->webTokenFile) : null;
        return self::configured($config, $token, $requestId);
    }

    /** As the admin's status page asks: with the operator's token, if this process may read it. */
    public static function forOperator(Config $config, string $requestId = ''): ?self
    {
        $token = new TokenFile($config->access->operatorTokenFile);
        return $token->isReadable() ? self::configured($config, $token, $requestId) : null;
    }

    public function ping(): bool
    {
        return $this->ask(Answers::isReady(...), ['cmd' => 'ping'], mostS: self::PING_S);
    }

    public function version(): string
    {
        return $this->ask(static fn (Reply $reply): string => $reply->string('version'), ['cmd' => 'ping']);
    }

    /**
     * How the daemon is; needs the operator's token.
     *
     * @return array<string, mixed> the keys of PROTOCOL.md's `status`
     */
    public function status(): array
    {
        return $this->ask(static fn (Reply $reply): array => $reply->fields(), ['cmd' => 'status']);
    }

    public function detect(string $image): Detection
    {
        return $this->ask(Answers::detection(...), ['cmd' => 'detect'], [$image]);
    }

    public function enrol(string $subject, array $images, bool $replace = false): Enrolment
    {
        $read = static fn (Reply $reply): Enrolment => Answers::enrolment($reply, $subject, count($images));
        $request = ['cmd' => 'enrol', 'id' => $subject] + ($replace ? ['replace' => true] : []);
        return $this->ask($read, $request, $images);
    }

    public function challenge(string $purpose, string $mode, string $binding, bool $flash = false): LivenessChallenge
    {
        $read = static fn (Reply $reply): LivenessChallenge => Answers::challenge($reply, $mode !== 'passive');
        $request = ['cmd' => 'challenge', 'purpose' => $purpose, 'mode' => $mode, 'binding' => $binding];
        return $this->ask($read, $request + ['flash' => $flash]);
    }

    public function stepDone(string $challenge, string $binding, int $step, array $sha256s): void
    {
        $request = ['cmd' => 'step', 'challenge' => $challenge, 'binding' => $binding];
        $request += ['step' => $step, 'sha256s' => $sha256s];
        $this->ask(static fn (Reply $reply): bool => Answers::stepKnown($reply, $step), $request);
    }

    public function identify(array $images, ?LivenessAnswer $answer = null): ?string
    {
        $read = static fn (Reply $reply): ?string => Answers::identified($reply, $answer !== null);
        return $this->ask($read, ['cmd' => 'identify'] + ($answer?->fields() ?? []), $images);
    }

    public function verify(string $subject, array $images, ?LivenessAnswer $answer = null): bool
    {
        $read = static fn (Reply $reply): bool => Answers::verified($reply, $subject, $answer !== null);
        return $this->ask($read, ['cmd' => 'verify', 'id' => $subject] + ($answer?->fields() ?? []), $images);
    }

    public function remove(string $subject): bool
    {
        $read = static fn (Reply $reply): bool => Answers::removed($reply, $subject);
        try {
            return $this->ask($read, ['cmd' => 'remove', 'id' => $subject]);
        } catch (Refused $refused) {
            return $refused->errorCode === 'unknown_subject' ? false : throw $refused;
        }
    }

    private static function configured(Config $config, ?TokenFile $token, string $requestId): self
    {
        $server = $config->server;
        $name = $server->tlsName === '' ? trim($server->host, '[]') : $server->tlsName;
        return new self(
            $server->host,
            $server->port,
            $server->unixSocket,
            $token,
            $config->web->daemonTimeoutS,
            tls: $server->usesTls() ? new Tls($name, $server->tlsCa) : null,
            requestId: $requestId,
        );
    }

    /**
     * Asks again only after a `busy` that came at once, which the daemon says before it looks at a request: a challenge
     * that the request answers is still open then. One that came late has waited its turn in vain, and so would the
     * next. After a lost connection nothing is asked again.
     *
     * @template T
     * @param \Closure(Reply): T $read
     * @param array<string, mixed> $request
     * @param list<string> $images
     * @param float $mostS for a call that need not take as long as others
     * @return T
     */
    private function ask(\Closure $read, array $request, array $images = [], float $mostS = INF): mixed
    {
        $withinS = min($this->timeoutS, $mostS);
        $deadline = new Deadline($withinS);
        try {
            try {
                return $read($this->replyTo($request, $images, $deadline));
            } catch (Refused $refused) {
                $left = $deadline->left();
                if ($refused->errorCode !== 'busy' || $left <= self::BUSY_PAUSE_S || $left < $withinS * 2 / 3) {
                    throw $refused;
                }
            }
            usleep((int) (self::BUSY_PAUSE_S * 1e6));
            return $read($this->replyTo($request, $images, $deadline));
        } catch (Garbled $garbled) {
            throw Unreachable::garbled($this->where(), $garbled->getMessage());
        }
    }

    /**
     * @param array<string, mixed> $request
     * @param list<string> $images
     */
    private function replyTo(array $request, array $images, Deadline $deadline): Reply
    {
        $seq = $this->nextSeq();
        $token = $this->token instanceof TokenFile ? $this->token->read() : $this->token;
        $envelope = ['seq' => $seq] + ($token === null ? [] : ['token' => $token]);
        $frame = Codec::encode($request + $envelope, $images);
        $connection = Connection::open($this->where(), $deadline, $this->tls);
        try {
            return Codec::decode($connection->exchange($frame, new FrameDecoder($this->maxReplyBytes)), $seq);
        } finally {
            $connection->close();
        }
    }

    /** The request's id, `id.2`, `id.3`...; without one 1, 2, 3... */
    private function nextSeq(): int|string
    {
        $this->asked++;
        return match (true) {
            $this->requestId === '' => $this->asked,
            $this->asked === 1 => $this->requestId,
            default => "$this->requestId.$this->asked",
        };
    }

    private function where(): string
    {
        if ($this->unixSocket !== null) {
            return "unix://{$this->unixSocket}";
        }
        $host = str_contains($this->host, ':') ? '[' . trim($this->host, '[]') . ']' : $this->host;
        return "tcp://{$host}:{$this->port}";
    }
}

<?php

/**
 * One connection that asks one thing: connect, agree on TLS, send and receive before one deadline. Bytes only; knows
 * frames, no JSON.
 *
 * The daemon may refuse while the request is still being sent (a frame too large, too many connections) and close. So
 * sending and receiving go on together, and a broken pipe is no verdict before its last words are read.
 */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Connection
{
    private const SEND_BYTES = 256 * 1024;
    private const READ_BYTES = 64 * 1024;

    /** @param resource $stream */
    private function __construct(
        private readonly mixed $stream,
        private readonly string $where,
        private readonly Deadline $deadline,
    ) {
    }

    /** @param string $where as PHP's streams write it: tcp://127.0.0.1:9999 or unix:///run/face-login.sock */
    public static function open(string $where, Deadline $deadline, ?Tls $tls = null): self
    {
        $left = $deadline->left();
        // A request is to go when it is written; inside TLS its first part would wait for the handshake's last to be
        // acknowledged, some 40 ms.
        $context = stream_context_create(
            ['socket' => ['tcp_nodelay' => true]] + ($tls === null ? [] : ['ssl' => $tls->options()]),
        );
        $stream = $left > 0.0
            ? @stream_socket_client($where, $number, $why, $left, STREAM_CLIENT_CONNECT, $context) : false;
        if ($stream === false) {
            throw $deadline->left() > 0.0
                ? Unreachable::absent($where, (string) $why) : Unreachable::silent($where, $deadline->timeoutS);
        }
        stream_set_blocking($stream, false);
        $connection = new self($stream, $where, $deadline);
        if ($tls !== null) {
            $tls->agree($stream, $where, static fn () => $connection->wait(false));
        }
        return $connection;
    }

    /**
     * Sends a frame and returns the content of the one that answers.
     *
     * @throws Unreachable
     * @throws Garbled
     */
    public function exchange(#[\SensitiveParameter] string $frame, FrameDecoder $decoder): string
    {
        $sent = 0;
        while (true) {
            [$readable, $writable] = $this->wait($sent < strlen($frame));
            if ($readable) {
                $content = $decoder->feed($this->received());
                if ($content !== null) {
                    return $content;
                }
            }
            if ($writable) {
                $count = @fwrite($this->stream, substr($frame, $sent, self::SEND_BYTES));
                $sent = $count === false ? strlen($frame) : $sent + $count;
            }
        }
    }

    public function close(): void
    {
        fclose($this->stream);
    }

    /** @return array{bool, bool} whether something can be read, and written */
    private function wait(bool $toSend): array
    {
        $left = $this->deadline->left();
        if ($left <= 0.0) {
            throw Unreachable::silent($this->where, $this->deadline->timeoutS);
        }
        $read = [$this->stream];
        $write = $toSend ? [$this->stream] : [];
        $except = null;
        // false is a signal's interruption: nothing is known, so the caller comes again.
        $found = @stream_select($read, $write, $except, (int) $left, (int) (fmod($left, 1.0) * 1e6));
        return $found === false ? [false, false] : [$read !== [], $write !== []];
    }

    private function received(): string
    {
        $bytes = @fread($this->stream, self::READ_BYTES);
        if ($bytes === false || ($bytes === '' && feof($this->stream))) {
            throw Unreachable::closed($this->where);
        }
        return $bytes;
    }
}

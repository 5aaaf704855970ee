<?php

/**
 * A daemon that does as it is told, in a process of its own, behind a real socket: for what the real one never does.
 * Each connection has a list of steps; see peer_process.php.
 */

declare(strict_types=1);

namespace FaceWeb\Tests\FaceServer;

use FaceWeb\FaceServer\SocketFaceServer;

final class Peer
{
    /** @var resource */
    private mixed $process;

    /** @var array<int, resource> */
    private array $pipes = [];

    public readonly string $address;

    /** @param list<list<array<mixed>>> $connections the steps of the first connection, of the second... */
    public function __construct(array $connections, ?string $unixSocket = null)
    {
        $listen = $unixSocket === null ? 'tcp://127.0.0.1:0' : "unix://{$unixSocket}";
        $command = [PHP_BINARY, __DIR__ . '/peer_process.php', $listen, json_encode($connections, JSON_THROW_ON_ERROR)];
        $this->process = proc_open($command, [1 => ['pipe', 'w']], $this->pipes);
        $this->address = trim((string) fgets($this->pipes[1]));
    }

    public function client(
        float $timeoutS = 5.0,
        ?string $token = 's3cret',
        int $cap = 1 << 20,
        string $requestId = '',
    ): SocketFaceServer {
        if (str_starts_with($this->address, '/')) {
            return new SocketFaceServer('127.0.0.1', 1, $this->address, $token, $timeoutS, $cap);
        }
        [$host, $port] = explode(':', $this->address);
        return new SocketFaceServer($host, (int) $port, null, $token, $timeoutS, $cap, requestId: $requestId);
    }

    /** @return list<array<string, mixed>> the JSON of the requests so far, once all its connections are done */
    public function requests(): array
    {
        $lines = array_filter(explode("\n", (string) stream_get_contents($this->pipes[1])), strlen(...));
        return array_map(static fn (string $line): array => json_decode($line, true), array_values($lines));
    }

    public function stop(): void
    {
        proc_terminate($this->process, 9);
        array_map(fclose(...), $this->pipes);
        proc_close($this->process);
    }
}

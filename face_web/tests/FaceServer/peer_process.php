<?php

/**
 * php peer_process.php LISTEN STEPS: listens, prints its address, then serves one connection after the other by its
 * list of steps, and prints the JSON of each request that it reads whole.
 *
 *   ["read"]         read one request whole       ["reply", {...}]  answer with this and the request's seq
 *   ["send", "hex"]  send these bytes             ["trickle", {...}, s]  the same, byte by byte with pauses of s
 *   ["finish"]       end the sending side         ["drain"]  read until the client closes
 */

declare(strict_types=1);

[, $listen, $steps] = $argv;
$server = stream_socket_server($listen);
echo preg_replace('~^.*//~', '', stream_socket_get_name($server, false)), "\n";

$exactly = static function ($peer, int $count): string {
    $bytes = '';
    while (strlen($bytes) < $count && !feof($peer)) {
        $bytes .= fread($peer, $count - strlen($bytes));
    }
    return $bytes;
};
$framed = static function (array $reply, mixed $seq): string {
    $json = json_encode($reply + ['seq' => $seq]);
    return pack('N', strlen($json)) . $json;
};

foreach (json_decode($steps, true) as $connection) {
    $peer = stream_socket_accept($server, 60);
    $seq = null;
    foreach ($connection as $step) {
        switch ($step[0]) {
            case 'read':
                $content = $exactly($peer, unpack('N', $exactly($peer, 4))[1]);
                [$json] = explode("\0", $content, 2);
                $seq = json_decode($json, true)['seq'];
                echo $json, "\n";
                break;
            case 'reply':
                fwrite($peer, $framed($step[1], $seq));
                break;
            case 'trickle':
                foreach (str_split($framed($step[1], $seq)) as $byte) {
                    fwrite($peer, $byte);
                    usleep((int) ($step[2] * 1e6));
                }
                break;
            case 'send':
                fwrite($peer, hex2bin($step[1]));
                break;
            case 'finish':
                stream_socket_shutdown($peer, STREAM_SHUT_WR);
                break;
            case 'drain':
                while (!feof($peer)) {
                    fread($peer, 65536);
                }
        }
    }
    fclose($peer);
}

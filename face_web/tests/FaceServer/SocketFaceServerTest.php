<?php

/**
 * The bridge against a peer that misbehaves, behind a real socket: late, gone, garbled, busy, refusing too early. The
 * real daemon is met in tests/test_php_bridge.py.
 */

declare(strict_types=1);

namespace FaceWeb\Tests\FaceServer;

use FaceWeb\FaceServer\LivenessAnswer;
use FaceWeb\FaceServer\Refused;
use FaceWeb\FaceServer\SocketFaceServer;
use FaceWeb\FaceServer\TokenFile;
use FaceWeb\FaceServer\Unreachable;
use PHPUnit\Framework\TestCase;

final class SocketFaceServerTest extends TestCase
{
    private const MATCH = ['ok' => true, 'match' => true, 'id' => 'anna'];
    private const BUSY = ['code' => 'busy', 'act' => 'operator', 'message' => 'm', 'detail' => []];

    private ?Peer $peer = null;

    protected function tearDown(): void
    {
        $this->peer?->stop();
    }

    /** @param list<array<mixed>> ...$connections */
    private function peer(array ...$connections): Peer
    {
        $this->peer?->stop();
        return $this->peer = new Peer($connections);
    }

    /** @param array<string, mixed> $reply */
    private function answering(array $reply): SocketFaceServer
    {
        return $this->peer([['read'], ['reply', $reply], ['drain']])->client();
    }

    public function testEveryCallSendsItsCommandAndReadsItsReply(): void
    {
        $answers = [
            ['ready' => true, 'version' => '1'],
            ['ready' => true, 'version' => '0.9'],
            ['width' => 4, 'height' => 3, 'faces' => []],
            ['match' => true, 'id' => 'anna'],
            ['match' => false],
            ['match' => true, 'id' => 'anna'],
            ['removed' => ['anna'], 'unknown' => [], 'templates' => 1],
            ['id' => 'anna', 'templates' => 1, 'images' => [['ok' => true, 'template' => 7, 'duplicate' => false]]],
            ['subjects' => 3],
        ];
        $steps = static fn (array $answer): array => [['read'], ['reply', ['ok' => true] + $answer], ['drain']];
        $peer = $this->peer(...array_map($steps, $answers));
        $client = $peer->client();
        self::assertTrue($client->ping());
        self::assertSame('0.9', $client->version());
        self::assertSame(4, $client->detect('image')->width);
        self::assertSame('anna', $client->identify(['one', 'another']));
        self::assertNull($client->identify(['one']));
        self::assertTrue($client->verify('anna', ['one']));
        self::assertTrue($client->remove('anna'));
        self::assertSame([7], $client->enrol('anna', ['one'], replace: true)->templateIds());
        self::assertSame(['subjects' => 3], $client->status());

        $asked = $peer->requests();
        self::assertSame(range(1, 9), array_column($asked, 'seq'));
        self::assertSame(array_fill(0, 9, 's3cret'), array_column($asked, 'token'));
        $plain = array_map(
            static fn (array $request): array => array_diff_key($request, ['seq' => 1, 'token' => 1]),
            $asked,
        );
        self::assertEquals([
            ['cmd' => 'ping'],
            ['cmd' => 'ping'],
            ['cmd' => 'detect', 'image_bytes' => [5]],
            ['cmd' => 'identify', 'image_bytes' => [3, 7]],
            ['cmd' => 'identify', 'image_bytes' => [3]],
            ['cmd' => 'verify', 'id' => 'anna', 'image_bytes' => [3]],
            ['cmd' => 'remove', 'id' => 'anna'],
            ['cmd' => 'enrol', 'id' => 'anna', 'replace' => true, 'image_bytes' => [3]],
            ['cmd' => 'status'],
        ], $plain);
    }

    public function testAUnixSocketServesWithoutAToken(): void
    {
        $path = sys_get_temp_dir() . '/peer-' . bin2hex(random_bytes(6)) . '.sock';
        $this->peer = new Peer([[['read'], ['reply', self::MATCH], ['drain']]], $path);
        try {
            self::assertSame('anna', $this->peer->client(token: null)->identify(['image']));
            self::assertArrayNotHasKey('token', $this->peer->requests()[0]);
        } finally {
            @unlink($path);
        }
    }

    public function testAReplyInSingleBytesIsRead(): void
    {
        $peer = $this->peer([['read'], ['trickle', self::MATCH, 0.001], ['drain']]);
        self::assertSame('anna', $peer->client()->identify(['image']));
    }

    public function testBytesBehindTheReplyAreNoMatterOfTheCall(): void
    {
        $peer = $this->peer([['read'], ['reply', self::MATCH], ['send', 'ffffffff'], ['drain']]);
        self::assertSame('anna', $peer->client()->identify(['image']));
    }

    public function testALargeRequestGoesWhole(): void
    {
        $peer = $this->peer([['read'], ['reply', self::MATCH], ['drain']]);
        $image = random_bytes(8 << 20);
        self::assertSame('anna', $peer->client()->identify([$image, $image]));
        self::assertSame([8 << 20, 8 << 20], $peer->requests()[0]['image_bytes']);
    }

    public function testSilenceEndsAtTheDeadline(): void
    {
        $client = $this->peer([['read'], ['drain']])->client(timeoutS: 0.3);
        $this->assertUnreachable('/did not answer within 0.3 s/', static fn () => $client->identify(['image']));
    }

    public function testATricklingReplyEndsAtTheSameDeadline(): void
    {
        $client = $this->peer([['read'], ['trickle', self::MATCH, 0.05]])->client(timeoutS: 0.3);
        $began = microtime(true);
        $this->assertUnreachable('/did not answer within 0.3 s/', static fn () => $client->identify(['image']));
        self::assertLessThan(1.0, microtime(true) - $began);
    }

    public function testAPeerThatDoesNotReadEndsAtTheDeadline(): void
    {
        $peer = $this->peer([['trickle', array_fill(0, 500, 1), 0.01]]);
        $this->assertUnreachable(
            '/did not answer within 0.3 s/',
            static fn () => $peer->client(timeoutS: 0.3)->identify([str_repeat('x', 32 << 20)]),
        );
    }

    public function testACloseWithoutAWordAndInTheMiddleOfTheReplyIsAClose(): void
    {
        $client = $this->peer([['read']], [['read'], ['send', '0000'], ['finish'], ['drain']])->client();
        $this->assertUnreachable('/closed the connection/', static fn () => $client->identify(['image']));
        $this->assertUnreachable('/closed the connection/', static fn () => $client->identify(['image']));
    }

    public function testAReplyBeyondTheCapIsNotWaitedFor(): void
    {
        $client = $this->peer([['read'], ['send', 'ffffffff'], ['drain']])->client();
        $this->assertUnreachable('/4294967295 bytes/', static fn () => $client->identify(['image']));
        $client = $this->peer([['read'], ['reply', self::MATCH], ['drain']])->client(cap: 16);
        $this->assertUnreachable('/at most 16/', static fn () => $client->identify(['image']));
    }

    public function testAnotherProtocolIsUnreachable(): void
    {
        $http = bin2hex("HTTP/1.1 400 Bad Request\r\n\r\n");
        $client = $this->peer([['read'], ['send', $http], ['drain']])->client();
        $this->assertUnreachable('/does not speak this protocol/', static fn () => $client->identify(['image']));
    }

    public function testAReplyToAnotherRequestIsUnreachable(): void
    {
        $client = $this->answering(['seq' => 2] + self::MATCH);
        $this->assertUnreachable('/another request/', static fn () => $client->identify(['image']));
    }

    public function testAReplyThatDeviatesIsUnreachableAndNoMatch(): void
    {
        $client = $this->answering(['match' => 1] + self::MATCH);
        $this->assertUnreachable('/`match`/', static fn () => $client->identify(['image']));
        $client = $this->answering(['id' => 42] + self::MATCH);
        $this->assertUnreachable('/`id`/', static fn () => $client->identify(['image']));
        $client = $this->answering(['ok' => 'true'] + self::MATCH);
        $this->assertUnreachable('/`ok`/', static fn () => $client->identify(['image']));
        $client = $this->answering(self::MATCH);
        $this->assertUnreachable('/another subject/', static fn () => $client->verify('berta', ['image']));
    }

    public function testARefusalIsRaised(): void
    {
        $error = ['code' => 'unauthorised', 'act' => 'web', 'message' => 'This needs a token.', 'detail' => []];
        $client = $this->answering(['ok' => false, 'error' => $error]);
        $this->assertRefused('unauthorised', static fn () => $client->identify(['image']));
    }

    public function testRemovingWhatIsNotThereIsFalse(): void
    {
        $error = ['code' => 'unknown_subject', 'act' => 'web', 'message' => 'm', 'detail' => []];
        self::assertFalse($this->answering(['ok' => false, 'error' => $error])->remove('anna'));
    }

    public function testARefusalBeforeTheRequestWasSentIsRead(): void
    {
        $refusal = Vectors::one('errors', 'frame_too_large')['hex'];
        $client = $this->peer([['send', $refusal], ['finish'], ['drain']])->client();
        $large = str_repeat('x', 32 << 20);
        $this->assertRefused('frame_too_large', static fn () => $client->identify([$large]));
    }

    public function testABusyDaemonIsAskedOnceMore(): void
    {
        $busy = ['ok' => false, 'seq' => null, 'error' => self::BUSY];
        $peer = $this->peer([['read'], ['reply', $busy]], [['read'], ['reply', self::MATCH], ['drain']]);
        self::assertSame('anna', $peer->client()->identify(['image']));
        self::assertSame([1, 2], array_column($peer->requests(), 'seq'));
    }

    public function testABusyThatCameLateHasWaitedInVainAndIsNotAskedAgain(): void
    {
        $late = [['read'], ['trickle', ['ok' => false, 'error' => self::BUSY], 0.01], ['drain']];
        $peer = $this->peer($late);
        $client = $peer->client(timeoutS: 2.6);
        $this->assertRefused('busy', static fn () => $client->identify(['image']));
        self::assertCount(1, $peer->requests());
    }

    public function testAChallengeIsAskedForAndAnsweredByItsKeys(): void
    {
        $id = str_repeat('ab', 16);
        $given = ['challenge' => $id, 'steps' => [['step' => 'turn_left']], 'frames_per_step' => 1, 'max_frames' => 2,
            'step_s' => 15, 'expires_s' => 30];
        $live = ['match' => true, 'id' => 'anna', 'live' => true];
        $steps = static fn (array $answer): array => [['read'], ['reply', ['ok' => true] + $answer], ['drain']];
        $peer = $this->peer($steps($given), $steps(['step' => 1]), $steps($live), $steps($live));
        $client = $peer->client();
        self::assertSame($id, $client->challenge('verify', 'both', 'the nonce')->id);
        $client->stepDone($id, 'the nonce', 1, [str_repeat('0', 64)]);
        $answer = new LivenessAnswer($id, 'the nonce', [0, 1]);
        self::assertSame('anna', $client->identify(['one', 'two'], $answer));
        self::assertTrue($client->verify('anna', ['one', 'two'], $answer));
        $answered = ['challenge' => $id, 'binding' => 'the nonce', 'frame_steps' => [0, 1], 'image_bytes' => [3, 3]];
        $plain = array_map(
            static fn (array $request): array => array_diff_key($request, ['seq' => 1, 'token' => 1]),
            $peer->requests(),
        );
        self::assertEquals([
            ['cmd' => 'challenge', 'purpose' => 'verify', 'mode' => 'both', 'binding' => 'the nonce', 'flash' => false],
            ['cmd' => 'step', 'challenge' => $id, 'binding' => 'the nonce', 'step' => 1,
                'sha256s' => [str_repeat('0', 64)]],
            ['cmd' => 'identify'] + $answered,
            ['cmd' => 'verify', 'id' => 'anna'] + $answered,
        ], $plain);
    }

    public function testAMatchThatTellsNothingOfLifeIsNoneWhereAChallengeWasAnswered(): void
    {
        $answer = new LivenessAnswer(str_repeat('ab', 16), 'the nonce', [0]);
        foreach ([[], ['live' => false], ['live' => 1]] as $live) {
            $client = $this->answering(self::MATCH + $live);
            $this->assertUnreachable('/does not speak/', static fn () => $client->identify(['image'], $answer));
        }
    }

    public function testAnAnswerToAChallengeIsSentOnceWhenTheConnectionIsLost(): void
    {
        $answer = new LivenessAnswer(str_repeat('ab', 16), 'the nonce', [0]);
        $live = [['read'], ['reply', self::MATCH + ['live' => true]], ['drain']];
        $client = $this->peer([['read']], $live)->client();
        $this->assertUnreachable('/closed the connection/', static fn () => $client->identify(['image'], $answer));
        // The second connection is still to be had: nobody has asked again.
        self::assertSame('anna', $client->identify(['image'], $answer));
    }

    public function testTheCallsOfARequestCarryItsId(): void
    {
        $busy = ['ok' => false, 'error' => self::BUSY];
        $pong = ['ok' => true, 'ready' => true];
        $replies = [$pong, $busy, self::MATCH, $pong];
        $peer = $this->peer(...array_map(static fn (array $one): array => [['read'], ['reply', $one]], $replies));
        $client = $peer->client(requestId: 'abc');
        self::assertTrue($client->ping());
        self::assertSame('anna', $client->identify(['image']));
        self::assertTrue($client->ping());
        self::assertSame(['abc', 'abc.2', 'abc.3', 'abc.4'], array_column($peer->requests(), 'seq'));
    }

    public function testADaemonThatIsBusyTwiceIsNotAskedAThirdTime(): void
    {
        $steps = [['read'], ['reply', ['ok' => false, 'error' => self::BUSY]]];
        $client = $this->peer($steps, $steps, [['read'], ['reply', self::MATCH]])->client();
        $this->assertRefused('busy', static fn () => $client->identify(['image']));
    }

    public function testABusyDaemonIsNotAskedAgainWhenTheDeadlineWouldPass(): void
    {
        $steps = [['read'], ['reply', ['ok' => false, 'error' => self::BUSY]]];
        $client = $this->peer($steps, [['read'], ['reply', self::MATCH]])->client(timeoutS: 0.4);
        $this->assertRefused('busy', static fn () => $client->identify(['image']));
    }

    public function testTheSecondTryHasTheSameDeadline(): void
    {
        $busy = [['read'], ['reply', ['ok' => false, 'error' => self::BUSY]]];
        $client = $this->peer($busy, [['read'], ['drain']])->client(timeoutS: 2.0);
        $began = microtime(true);
        $this->assertUnreachable('/did not answer within 2 s/', static fn () => $client->identify(['image']));
        self::assertLessThan(3.0, microtime(true) - $began);
    }

    public function testNobodyListeningIsUnreachable(): void
    {
        $client = $this->peer()->client();
        $this->peer?->requests();
        $this->assertUnreachable('/cannot be reached/', static fn () => $client->ping());
        $nowhere = new SocketFaceServer('127.0.0.1', 1, sys_get_temp_dir() . '/no.sock', null, 1.0);
        $this->assertUnreachable('~unix:///.*no.sock cannot be reached~', static fn () => $nowhere->ping());
    }

    public function testWithoutATokenFileNothingIsAsked(): void
    {
        $client = new SocketFaceServer('127.0.0.1', 1, null, new TokenFile('/nowhere/token.web'), 1.0);
        $this->assertUnreachable('~token file /nowhere/token.web~', static fn () => $client->ping());
    }

    public function testTheTokenStandsInNoTrace(): void
    {
        $ignored = ini_set('zend.exception_ignore_args', '0');
        try {
            (new SocketFaceServer('127.0.0.1', 1, null, 's3cret', 1.0))->verify("\xff", ['image']);
            self::fail('it is no UTF-8');
        } catch (\JsonException $error) {
            $arguments = array_column($error->getTrace(), 'args', 'function');
            self::assertArrayHasKey('encode', $arguments);
            self::assertStringNotContainsString('s3cret', print_r($arguments['encode'], true));
        } finally {
            ini_set('zend.exception_ignore_args', (string) $ignored);
        }
    }

    private function assertUnreachable(string $pattern, \Closure $call): void
    {
        try {
            $got = $call();
        } catch (Unreachable $unreachable) {
            self::assertMatchesRegularExpression($pattern, $unreachable->getMessage());
            return;
        }
        self::fail('taken for an answer: ' . var_export($got, true));
    }

    private function assertRefused(string $code, \Closure $call): void
    {
        try {
            $got = $call();
        } catch (Refused $refused) {
            self::assertSame($code, $refused->errorCode);
            return;
        }
        self::fail('not refused: ' . var_export($got, true));
    }
}

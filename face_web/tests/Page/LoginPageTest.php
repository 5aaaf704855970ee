<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Page;

use FaceWeb\People\FaceState;
use FaceWeb\People\People;
use FaceWeb\People\Status;
use FaceWeb\Tests\Support\ScriptedFaceServer;
use FaceWeb\Tests\Support\SiteCase;

final class LoginPageTest extends SiteCase
{
    public function testAFaceThatIsKnownLogsInUnderANewSessionId(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->get('/login');
        $before = $this->cookie;
        self::assertSame(['ok' => true, 'location' => '/account'], $this->face('ada'));
        self::assertNotSame($before, $this->cookie);
        self::assertArrayNotHasKey($before, $this->sessions->sessions);
        self::assertStringContainsString('Ada Lovelace', $this->get('/account')->body);
        self::assertSame(['login'], $this->events());
    }

    /** @dataProvider refusals */
    public function testEveryRefusalOfAFaceIsTheSameAndCostsTheSameWork(string $mode, string $email, string $why): void
    {
        $this->configure("login_mode = $mode");
        $ada = $this->person('ada@example.org', 'ada');
        match ($why) {
            'disabled' => $this->people()->setStatus($ada->id, Status::Disabled),
            'off' => $this->people()->setFaceState($ada->id, FaceState::Off),
            'faceless' => $this->people()->removeFace($ada->id),
            'removing' => $this->people()->setFaceState($ada->id, FaceState::Removing),
            'locked' => array_map(fn () => $this->elsewhereFails('ada@example.org'), range(1, 5)),
            default => null,
        };
        $this->daemon->asked = [];
        $answer = $this->face($why === 'wrong' ? 'eve' : 'ada', $email);
        self::assertFalse($answer['ok']);
        self::assertSame('refused', $answer['code']);
        self::assertStringStartsWith('You were not recognised.', $answer['message']);
        self::assertSame(['code', 'message', 'nonce', 'ok'], self::sorted(array_keys($answer)));
        self::assertSame([$mode === 'face' ? 'identify' : 'verify'], $this->daemon->asked);
        self::assertFalse($this->isIn());
    }

    /** @return iterable<array{string, string, string}> */
    public function refusals(): iterable
    {
        foreach (['wrong', 'disabled', 'off', 'removing'] as $why) {
            yield "1:N, $why" => ['face', '', $why];
        }
        foreach (['wrong', 'disabled', 'off', 'faceless', 'removing', 'locked'] as $why) {
            yield "1:1, $why" => ['email_face', 'ada@example.org', $why];
        }
        yield '1:1, unknown email' => ['email_face', 'nobody@example.org', 'unknown'];
        yield '1:1, no email at all' => ['email_face', 'not an email', 'unknown'];
    }

    public function testTheRightFaceComesInAfterFortyNineWrongOnesAndNotAfterFifty(): void
    {
        $this->configure('login_mode = email_face');
        $ada = $this->person('ada@example.org', 'ada');
        foreach ([49 => 'in', 50 => 'refused'] as $failures => $expected) {
            $this->elsewhereFails('ada@example.org');
            $sql = "UPDATE throttle SET hits = 0, total = ? WHERE scope = 'face_account'";
            $this->database->execute($sql, [$failures]);
            self::assertSame($expected, $this->face('ada', 'ada@example.org')['code'] ?? 'in');
        }
        self::assertTrue($this->services->throttle()->isFaceOff($ada->id));
    }

    public function testAfterFiveWrongFacesTheSourceWaitsAndIsTold(): void
    {
        $this->person('ada@example.org', 'ada');
        foreach (range(1, 5) as $ignored) {
            self::assertSame('refused', $this->face('eve')['code']);
        }
        $answer = $this->face('ada');
        self::assertSame('wait', $answer['code']);
        self::assertSame(30, $answer['retry_after_s']);
        $this->clock->advance(30);
        self::assertTrue($this->face('ada')['ok']);
    }

    public function testBadPicturesAreNoFailureAndTheReasonStandsBesideTheFrame(): void
    {
        $this->person('ada@example.org', 'ada');
        foreach (range(1, 8) as $ignored) {
            $answer = $this->face('!too_dark');
            self::assertSame('quality', $answer['code']);
        }
        self::assertSame(['too_dark', 'too_dark', 'too_dark'], $answer['frames']);
        self::assertSame(['Too dark; more light, please.'], $answer['advice']);
        self::assertTrue($this->face('ada')['ok']);
    }

    public function testANonceIsGoodOnceForItsPurposeAndItsSession(): void
    {
        $this->person('ada@example.org', 'ada');
        $nonce = $this->nonce('login');
        self::assertSame('refused', $this->face('eve', nonce: $nonce)['code']);
        self::assertSame('nonce', $this->face('ada', nonce: $nonce)['code']);
        self::assertSame('nonce', $this->face('ada', nonce: $this->nonce('register'))['code']);
        self::assertSame('nonce', $this->face('ada', nonce: '')['code']);
        $another = $this->nonce('login');
        $this->newBrowser();
        self::assertSame('nonce', $this->face('ada', nonce: $another)['code']);
        $late = $this->nonce('login');
        $this->clock->advance(60);
        self::assertSame('nonce', $this->face('ada', nonce: $late)['code']);
        self::assertFalse($this->isIn());
    }

    public function testFramesThatWereSentBeforeAreRefusedInEverySession(): void
    {
        $this->person('ada@example.org', 'ada');
        $frames = ScriptedFaceServer::burst('ada');
        self::assertTrue($this->face($frames)['ok']);
        $this->newBrowser();
        self::assertSame('refused', $this->face($frames)['code']);
        $same = array_fill(0, 3, ScriptedFaceServer::picture('ada'));
        self::assertSame('refused', $this->face($same)['code']);
        self::assertFalse($this->isIn());
    }

    public function testOnlyOneBurstOfPicturesIsTaken(): void
    {
        $this->person('ada@example.org', 'ada');
        foreach ([1, 2, 4, 11] as $count) {
            $form = ['nonce' => $this->nonce('login')];
            $response = $this->post('/login/face', $form, ['frames' => ScriptedFaceServer::burst('ada', $count)]);
            self::assertSame(400, $response->status);
        }
        $large = ScriptedFaceServer::burst('ada', 2);
        $large[] = ScriptedFaceServer::picture('ada') . str_repeat('x', 2 * 1024 * 1024);
        $response = $this->post('/login/face', ['nonce' => $this->nonce('login')], ['frames' => $large]);
        self::assertSame(413, $response->status);
        self::assertSame([], $this->daemon->asked);
    }

    /** @dataProvider impostors */
    public function testWhatIsNoPictureNeverReachesTheDaemon(string $bytes): void
    {
        $answer = $this->face([ScriptedFaceServer::picture('ada'), ScriptedFaceServer::picture('ada'), $bytes]);
        self::assertSame('quality', $answer['code']);
        self::assertSame([null, null, 'image_unreadable'], $answer['frames']);
        self::assertSame([], $this->daemon->asked);
    }

    /** @return iterable<array{string}> */
    public function impostors(): iterable
    {
        yield 'svg' => ['<svg xmlns="http://www.w3.org/2000/svg"/>'];
        yield 'html' => ['<!DOCTYPE html><script>1</script>'];
        yield 'php' => ['<?php echo 1;'];
        yield 'gif' => ['GIF89a'];
        yield 'a vector' => ['[0.1,0.2,0.3]'];
        yield 'nothing' => [''];
    }

    public function testADaemonThatIsAwayIsNobodysLoginAndNoFailure(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->daemon->failBefore['identify'] = ScriptedFaceServer::away();
        foreach (range(1, 8) as $ignored) {
            self::assertSame('unavailable', $this->face('ada')['code']);
        }
        $this->daemon->failBefore = [];
        self::assertTrue($this->face('ada')['ok']);
    }

    public function testAPasswordLogsInAndAWrongOneGetsTheSamePageAsAnUnknownEmail(): void
    {
        $this->person('ada@example.org');
        $wrong = $this->post('/login/password', ['email' => 'ada@example.org', 'password' => 'no such thing']);
        self::assertSame(422, $wrong->status);
        $this->newBrowser();
        $unknown = $this->post('/login/password', ['email' => 'eve@example.org', 'password' => 'no such thing']);
        self::assertSame(self::plain($wrong->body), str_replace('eve@', 'ada@', self::plain($unknown->body)));
        self::assertStringContainsString('href="#password"', $wrong->body);
        self::assertStringContainsString('aria-invalid="true"', $wrong->body);
        self::assertSame('/account', $this->logInByPassword(' ADA@example.org ')->headers['Location']);
        self::assertTrue($this->isIn());
    }

    public function testNobodyIsLockedOutByAnotherSourcesWrongFaces(): void
    {
        $this->configure('login_mode = email_face');
        $this->person('ada@example.org', 'ada');
        foreach (range(1, 60) as $ignored) {
            $this->elsewhereFails('ada@example.org');
            $this->clock->advance(1000);
        }
        self::assertSame('refused', $this->face('ada', 'ada@example.org')['code']);
        self::assertSame(303, $this->logInByPassword('ada@example.org')->status);
        $this->newBrowser();
        self::assertTrue($this->face('ada', 'ada@example.org')['ok'], 'the password turns the face on again');
    }

    public function testFaceThenPasswordTellsNothingBeforeBothAreThere(): void
    {
        $this->configure('login_mode = face_then_password');
        $this->person('ada@example.org', 'ada');
        $expected = ['ok' => true, 'location' => '/login/second'];
        $tries = ['eve@example.org' => 'ada', 'ada@example.org' => 'eve', 'bob@example.org' => 'eve'];
        foreach ($tries as $email => $face) {
            $this->newBrowser();
            self::assertSame($expected, $this->face($face, $email));
            self::assertFalse($this->isIn());
            $refused = $this->post('/login/second', ['password' => self::PASSWORD]);
            self::assertSame(422, $refused->status);
            self::assertStringContainsString('the face or the password', $refused->body);
            self::assertSame('/login', $this->get('/login/second')->headers['Location'], 'one face, one password');
        }
        $this->newBrowser();
        self::assertSame($expected, $this->face('ada', 'ada@example.org'));
        self::assertFalse($this->isIn());
        self::assertSame('/account', $this->post('/login/second', ['password' => self::PASSWORD])->headers['Location']);
        self::assertSame(['face', 'pwd'], $this->services->session()->amr());
    }

    /** @testWith ["ada", 303, "/login/second"]
     *            ["eve", 422, null]
     */
    public function testTheCountersTellNothingOfTheFaceBeforeThePasswordEither(
        string $face,
        int $status,
        ?string $next,
    ): void {
        $this->configure('login_mode = face_then_password');
        $this->person('ada@example.org', 'ada');
        foreach (['eve', 'eve', 'eve', 'eve', $face] as $shown) {
            $this->face($shown, 'ada@example.org');
        }
        self::assertSame('wait', $this->face('eve', 'ada@example.org')['code']);
        self::assertSame(array_fill(0, 5, 'face_checked'), $this->events());
        self::assertSame($status, $this->post('/login/second', ['password' => self::PASSWORD])->status);
        self::assertSame($next, $this->face('ada', 'ada@example.org')['location'] ?? null);
    }

    /** @dataProvider halfWay */
    public function testWhereBothAreAskedForAFaceThatIsHalfWayKeepsNobodyOut(FaceState $state, int $status): void
    {
        $this->configure('login_mode = face_then_password');
        $ada = $this->person('ada@example.org', 'ada');
        $this->people()->setFaceState($ada->id, $state);
        self::assertSame($status, $this->logInByPassword('ada@example.org')->status);
    }

    /** @return list<array{FaceState, int}> */
    public function halfWay(): array
    {
        return [[FaceState::Removing, 303], [FaceState::Off, 422]];
    }

    public function testManyLoginsWithBothFromOneSourceLockNobody(): void
    {
        $this->configure('login_mode = face_then_password');
        $this->person('ada@example.org', 'ada');
        foreach (range(1, 20) as $ignored) {
            $this->face('ada', 'ada@example.org');
            self::assertSame(303, $this->post('/login/second', ['password' => self::PASSWORD])->status);
            $this->clock->advance(7);
        }
    }

    public function testWrongFacesOfOthersKeepNobodyOutWhoNeedsFaceAndPassword(): void
    {
        $this->configure('login_mode = face_then_password');
        $this->person('ada@example.org', 'ada');
        foreach (range(1, 60) as $ignored) {
            $this->elsewhereFails('ada@example.org');
            $this->clock->advance(1000);
        }
        self::assertSame('/login/second', $this->face('ada', 'ada@example.org')['location']);
        self::assertSame(422, $this->post('/login/second', ['password' => 'not the password'])->status);
        $this->face('ada', 'ada@example.org');
        self::assertSame(422, $this->post('/login/second', ['password' => self::PASSWORD])->status);
        self::assertFalse($this->isIn());
        $this->face('ada', 'ada@example.org');
        self::assertSame(303, $this->post('/login/second', ['password' => self::PASSWORD])->status);
        self::assertTrue($this->isIn(), 'the right password has turned the face on again');
    }

    public function testThePasswordAloneClearsTheLockOfAFaceOnceInTwelveHours(): void
    {
        $this->configure('login_mode = face_then_password');
        $ada = $this->person('ada@example.org', 'ada');
        foreach ([true, false] as $isForgiven) {
            foreach (range(1, 5) as $ignored) {
                $this->elsewhereFails('ada@example.org');
            }
            $this->clock->advance(1);
            $this->logInByPassword('ada@example.org');
            $attempt = \FaceWeb\Security\Attempt::face('203.0.113.5', $ada->id);
            self::assertSame($isForgiven, $this->services->throttle()->begin($attempt)->allowed);
            $this->clock->advance(3600);
        }
    }

    /** @dataProvider ends */
    public function testWhatChangesWhileTheDaemonLooksCounts(string $mode, string $command, \Closure $change): void
    {
        $this->configure("login_mode = $mode");
        $ada = $this->person('ada@example.org', 'ada');
        $this->daemon->during[$command] = fn () => $change($this->people(), $ada->id);
        self::assertSame('refused', $this->face('ada', 'ada@example.org')['code']);
        self::assertFalse($this->isIn());
    }

    /** @return iterable<array{string, string, \Closure}> */
    public function ends(): iterable
    {
        $changes = [
            'off' => static fn (People $people, int $id) => $people->setFaceState($id, FaceState::Off),
            'disabled' => static fn (People $people, int $id) => $people->setStatus($id, Status::Disabled),
            'another face' => static function (People $people, int $id): void {
                $people->removeFace($id);
                $people->startFace($id);
                $people->faceEnrolled($id, [9]);
            },
        ];
        foreach ($changes as $name => $change) {
            yield "1:N, $name" => ['face', 'identify', $change];
            yield "1:1, $name" => ['email_face', 'verify', $change];
        }
    }

    public function testAFaceWaitsFiveMinutesForItsPassword(): void
    {
        $this->configure('login_mode = face_then_password');
        $this->person('ada@example.org', 'ada');
        $this->face('ada', 'ada@example.org');
        $this->clock->advance(300);
        self::assertSame('/login', $this->post('/login/second', ['password' => self::PASSWORD])->headers['Location']);
        self::assertFalse($this->isIn());
    }

    public function testWhereBothAreAskedForAPasswordAloneOpensOnlyAccountsWithoutAFace(): void
    {
        $this->configure('login_mode = face_then_password');
        $this->person('ada@example.org', 'ada');
        $this->person('bob@example.org');
        self::assertSame(422, $this->logInByPassword('ada@example.org')->status);
        self::assertFalse($this->isIn());
        self::assertSame(303, $this->logInByPassword('bob@example.org')->status);
    }

    public function testSigningOutEndsTheSessionAndTheOldCookieIsWorthNothing(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->face('ada');
        $old = $this->cookie;
        self::assertSame('/', $this->post('/logout')->headers['Location']);
        self::assertStringContainsString('You have signed out.', $this->get('/')->body);
        $this->cookie = $old;
        self::assertFalse($this->isIn());
    }

    /** Somebody at another address claims to be this person. */
    private function elsewhereFails(string $email): void
    {
        $id = $this->people()->byEmail($email)?->id;
        $attempt = \FaceWeb\Security\Attempt::face('198.51.100.9', $id);
        if ($this->services->throttle()->begin($attempt)->retryAfterS === 0) {
            $this->services->throttle()->failed($attempt);
        }
    }

    private static function plain(string $body): string
    {
        return (string) preg_replace('/value="[0-9a-f]{64}"|data-csrf="[0-9a-f]+"/', '', $body);
    }

    /**
     * @param list<string> $values
     * @return list<string>
     */
    private static function sorted(array $values): array
    {
        sort($values);
        return $values;
    }
}

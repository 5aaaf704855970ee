<?php

/** Which of several images a refusal is about. */

declare(strict_types=1);

namespace FaceWeb\Tests\FaceServer;

use FaceWeb\FaceServer\Refused;
use PHPUnit\Framework\TestCase;

final class RefusedTest extends TestCase
{
    public function testEachImageHasTheCodeThatTheDaemonGaveIt(): void
    {
        $images = [
            ['code' => 'too_dark', 'act' => 'person', 'message' => 'm'],
            ['code' => 'no_face', 'act' => 'person', 'message' => 'm'],
        ];
        $refused = Refused::because('too_dark', 'm', ['images' => $images]);
        self::assertSame(['too_dark', 'no_face', null], $refused->imageCodes(3));
        self::assertSame(['too_dark'], $refused->imageCodes(1));
        self::assertTrue($refused->isForPerson());
    }

    public function testPlacesNameTheImagesThatTheErrorIsAbout(): void
    {
        $refused = Refused::because('different_people', 'm', ['images' => [0, 2, 7, -1]]);
        self::assertSame(['different_people', null, 'different_people'], $refused->imageCodes(3));
    }

    public function testARefusalOfTheOnlyImageIsAboutIt(): void
    {
        self::assertSame(['blurred'], Refused::because('blurred')->imageCodes(1));
        self::assertSame(['image_too_large'], Refused::because('image_too_large')->imageCodes(1));
        self::assertSame([null, null], Refused::because('blurred')->imageCodes(2));
        self::assertSame([], Refused::because('blurred')->imageCodes(0));
    }

    public function testARefusalThatIsAboutNoImageNamesNone(): void
    {
        self::assertSame([null], Refused::because('duplicate_person')->imageCodes(1));
        self::assertSame([null, null], Refused::because('internal', 'm', ['images' => [[], 'x']])->imageCodes(2));
        self::assertFalse(Refused::because('duplicate_person')->isForPerson());
    }

    public function testACodeOfALaterDaemonReadsInternalAndTheOperatorMustAct(): void
    {
        $refused = Refused::because('on_fire', 'Water is needed.');
        self::assertSame(['internal', 'operator'], [$refused->errorCode, $refused->act]);
        $images = [['code' => 'on_fire'], ['code' => 'blurred']];
        self::assertSame(
            ['internal', 'blurred'],
            Refused::because('no_face', 'm', ['images' => $images])->imageCodes(2),
        );
    }
}

<?php

/** The ways in; each has counters of its own. */

declare(strict_types=1);

namespace FaceWeb\Security;

enum AttemptKind: string
{
    case Face = 'face';
    case Password = 'password';
    case Registration = 'registration';
    case Exchange = 'exchange';
}

<?php

/**
 * The life of a face. Enrolling and Removing are half-way: the daemon may or may not have templates of it.
 * Off: kept, but not accepted at login until an administrator turns it on.
 */

declare(strict_types=1);

namespace FaceWeb\People;

enum FaceState: string
{
    case Enrolling = 'enrolling';
    case Active = 'active';
    case Off = 'off';
    case Removing = 'removing';
}

import Engine

/// Bits of the local APIC's error status register.
///
/// The others are of checksums on a bus that is no more, and of processors that can't send
/// lowest-priority messages.
///
/// - SeeAlso: Intel SDM volume 3, 'Error Handling' (of the local APIC).
enum APICError {
  static let sentVector: UInt64 = 1 << 5, receivedVector: UInt64 = 1 << 6
  static let register: UInt64 = 1 << 7
}

extension X64 {
  /// Logs an error of the local APIC; the first since the status was written interrupts the hart.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Error Handling' (of the local APIC).
  func noteError(_ error: UInt64, _ hart: Hart) {
    let x = hart.x
    let isFirst = x[SystemSlot.errors] == 0
    x[SystemSlot.errors] |= error
    let entry = x[SystemSlot.errorEntry]
    guard isFirst, entry & APIC.masked == 0 else { return }
    // A vector that can't be is one more error, and not another interrupt.
    if entry & 0xff < 16 {
      x[SystemSlot.errors] |= APICError.receivedVector
    } else {
      interrupt(entry & 0xff, hart)
    }
  }

  /// A write of the error status: what was logged since the last one can be read.
  func latchErrors(_ hart: Hart) {
    hart.x[SystemSlot.errorStatus] = hart.x[SystemSlot.errors]
    hart.x[SystemSlot.errors] = 0
  }

  /// Writes the entry of a pin, or of errors, in the local vector table.
  ///
  /// Nothing is wired to the pins.
  ///
  /// - Returns: `false` for #GP.
  /// - SeeAlso: Intel SDM volume 3, 'Local Vector Table'.
  func writeVectorEntry(_ slot: Int, _ value: UInt64, _ hart: Hart) -> Bool {
    // Vector and mask; of pins the delivery mode, the polarity and the trigger too.
    let writable: UInt64 = slot == SystemSlot.errorEntry ? 0x1_00ff : 0x1_a7ff
    // The delivery status and a pin's IRR are only to be read.
    guard value & ~(writable | 0x5000) == 0 else { return false }
    let isEnabled = hart.x[SystemSlot.spuriousVector] & APIC.softwareEnabled != 0
    hart.x[slot] = value & writable | (isEnabled ? 0 : APIC.masked)
    return true
  }

  /// Masks all of the local vector table.
  func maskVectorTable(_ x: UnsafeMutablePointer<UInt64>) {
    for slot in [
      SystemSlot.timerEntry, SystemSlot.pinEntries, SystemSlot.pinEntries + 1,
      SystemSlot.errorEntry,
    ] {
      x[slot] |= APIC.masked
    }
  }

  /// Whether there is a register at an offset in memory, in units of 16 bytes.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Local APIC Register Address Map'.
  static func hasRegister(_ offset: UInt64) -> Bool {
    switch offset {
    case 2, 3, 8...0xf, 0x10...0x28, 0x30...0x32, 0x35...0x39, 0x3e: true
    default: false
    }
  }
}

/// Numbers of `ioctl` requests.
///
/// - SeeAlso: Linux, `include/uapi/asm-generic/ioctls.h`. The four guests share them.
enum IOControl {
  static let getTermios: UInt32 = 0x5401
  static let setTermios: ClosedRange<UInt32> = 0x5402...0x5404
  static let sendBreak: UInt32 = 0x5409
  static let flowControl: UInt32 = 0x540a
  static let flush: UInt32 = 0x540b
  static let setControlling: UInt32 = 0x540e
  static let getGroup: UInt32 = 0x540f
  static let setGroup: UInt32 = 0x5410
  static let bytesToWrite: UInt32 = 0x5411
  static let getWindow: UInt32 = 0x5413
  static let setWindow: UInt32 = 0x5414
  static let bytesToRead: UInt32 = 0x541b
  static let nonBlocking: UInt32 = 0x5421
  static let giveUpControlling: UInt32 = 0x5422
  static let getSession: UInt32 = 0x5429
  static let getTermios2: UInt32 = 0x802c_542a
  static let setTermios2: ClosedRange<UInt32> = 0x402c_542b...0x402c_542d
  static let dontCloseOnExec: UInt32 = 0x5450
  static let closeOnExec: UInt32 = 0x5451
  static let asynchronous: UInt32 = 0x5452
  static let fileSize: UInt32 = 0x5460
  static let blockSize: UInt32 = 2
  static let randomEntropy: UInt32 = 0x8004_5200
}

import GuestKernel
import Machine

/// The world around a scenario's machine: everything in it is known beforehand, and nothing of the
/// host is seen.
final class ScenarioHost: HostServices {
  /// What was printed, by stream.
  private(set) var output: [UInt8] = []
  private(set) var errors: [UInt8] = []
  /// More was printed than is kept.
  private(set) var isCutOff = false
  private let input: [UInt8]
  private var read = 0
  private var random: SeededBytes

  /// Bytes of output that are kept.
  static let outputLimit = 16 << 20

  init(input: [UInt8]) {
    self.input = input
    random = SeededBytes(seed: 0)
  }

  /// From now on random bytes follow from `seed`.
  func reseed(_ seed: UInt64) { random = SeededBytes(seed: seed) }

  /// 14 November 2023.
  var startOfRun: UInt64 { 1_700_000_000_000_000_000 }

  func consoleRead(_ count: Int) -> ConsoleInput {
    let bytes = Array(input[read...].prefix(max(count, 0)))
    read += bytes.count
    return bytes.isEmpty ? .end : .bytes(bytes)
  }

  func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? {
    guard output.count + errors.count + bytes.count <= Self.outputLimit else {
      isCutOff = true
      return nil
    }
    if stream == 2 { errors += bytes } else { output += bytes }
    return nil
  }

  func randomBytes(_ count: Int) -> [UInt8] { random.next(count) }
  func hostStat(_ path: String) -> HostNode? { nil }
  func hostList(_ path: String) -> [String]? { nil }
  func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? { nil }

  /// How far input and random bytes have come, and what was printed.
  var archivedState: [UInt8] {
    get {
      var bytes = [UInt8](repeating: 0, count: 24)
      bytes.store64(0, UInt64(read))
      bytes.store64(8, UInt64(output.count))
      bytes.store64(16, UInt64(errors.count))
      return bytes + random.archivedState + output + errors
    }
    set {
      let (out, err) = (Int(clamping: newValue.load64(8)), Int(clamping: newValue.load64(16)))
      read = min(Int(clamping: newValue.load64(0)), input.count)
      random.archivedState = Array(newValue[24..<32])
      output = Array(newValue[32...].prefix(out))
      errors = Array(newValue[32...].dropFirst(out).prefix(err))
      isCutOff = false
    }
  }
}

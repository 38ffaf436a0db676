import Foundation

/// What went wrong outside of any comparison.
struct ToolError: Error, CustomStringConvertible {
  let description: String
  /// 2: usage, 3: something that must be installed is missing.
  var status: Int32 = 2
}

/// How a host process ended.
struct Outcome: Equatable {
  var output: [UInt8]
  /// The exit status, or 128 + n after signal n.
  var status: Int32
  var timedOut = false
  /// What was written to standard error.
  var errors: [UInt8] = []
}

/// A host process whose output goes to files, so that it never waits for us.
final class HostProcess {
  private let process = Process()
  private let directory: URL
  private let output: URL
  private let watchdog: DispatchWorkItem
  private let started = Date()
  private let timeout: Double

  /// Starts `executable`.
  init(
    _ executable: String, _ arguments: [String], input: [UInt8]? = nil, timeout: Double = 60,
    environment: [String: String]? = nil, workingDirectory: String? = nil
  ) throws {
    self.timeout = timeout
    directory = FileManager.default.temporaryDirectory.appendingPathComponent(
      "emu-conformance-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    output = directory.appendingPathComponent("output")
    try Data().write(to: output)
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    if let environment { process.environment = environment }
    if let workingDirectory {
      process.currentDirectoryURL = URL(fileURLWithPath: workingDirectory)
    }
    process.standardOutput = try FileHandle(forWritingTo: output)
    let errors = directory.appendingPathComponent("errors")
    try Data().write(to: errors)
    process.standardError = try FileHandle(forWritingTo: errors)
    if let input {
      let file = directory.appendingPathComponent("input")
      try Data(input).write(to: file)
      process.standardInput = try FileHandle(forReadingFrom: file)
    } else {
      process.standardInput = FileHandle.nullDevice
    }
    let late = process
    watchdog = DispatchWorkItem { if late.isRunning { kill(late.processIdentifier, SIGKILL) } }
    try process.run()
    DispatchQueue.global().asyncAfter(deadline: .now() + timeout, execute: watchdog)
  }

  /// Waits for its end.
  func finish() throws -> Outcome {
    process.waitUntilExit()
    let late =
      process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL
      && Date().timeIntervalSince(started) >= timeout
    watchdog.cancel()
    defer { try? FileManager.default.removeItem(at: directory) }
    let bytes = try [UInt8](Data(contentsOf: output))
    let errors = try [UInt8](Data(contentsOf: directory.appendingPathComponent("errors")))
    let signal: Int32 = process.terminationReason == .uncaughtSignal ? 128 : 0
    return Outcome(
      output: bytes, status: process.terminationStatus + signal, timedOut: late,
      errors: errors)
  }

  /// Where an executable is, by `PATH`.
  static func find(_ name: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }.first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
  }

  /// The same, or a sentence saying what to install.
  static func require(_ name: String, package: String) throws -> String {
    guard let found = find(name) else {
      throw ToolError(
        description: "\(name) is not installed; on Debian and Ubuntu: apt install \(package)",
        status: 3)
    }
    return found
  }
}

import Engine
import Image

/// Why a program could not be started.
public struct ExecError: Error, Sendable, CustomStringConvertible {
  /// What `execve` answers.
  public let errno: Errno
  /// A line for people.
  public let description: String
}

/// What `execve` is asked for.
public struct ExecRequest {
  /// The file, opened for execution, and the path it was found by (`AT_EXECFN`, `#!`).
  public var file: OpenFile
  public var path: [UInt8]
  public var argv: [[UInt8]]
  public var envp: [[UInt8]]
  public var uid: UInt32 = 0, euid: UInt32 = 0, gid: UInt32 = 0, egid: UInt32 = 0
  public var limits = AddressSpace.Limits()
  public init(file: OpenFile, path: [UInt8], argv: [[UInt8]], envp: [[UInt8]]) {
    self.file = file
    self.path = path
    self.argv = argv
    self.envp = envp
  }
}

/// A program ready to run.
public struct ExecResult {
  public let space: AddressSpace
  public let pc, sp: UInt64
  /// `/proc/pid/exe`.
  public let exe: OpenFile
  /// `comm`: the last part of the path, 15 bytes at most.
  public let name: [UInt8]
}

/// `execve` up to the point where nothing can fail any more.
public enum Exec {
  /// - Parameter open: opens a path for execution (`do_open_execat`: ENOENT, EACCES, …).
  public static func load(
    _ request: ExecRequest, frames: PageAllocator, isa: any KernelISA, kernelRoot: UInt64,
    asid: UInt16, host: any HostServices,
    open: (_ path: [UInt8]) throws(Errno) -> OpenFile
  ) throws(ExecError) -> ExecResult {
    throw ExecError(errno: .ENOSYS, description: "not yet")
  }
}
